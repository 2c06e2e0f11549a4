-- The live rows of one table in stored form: all files, without the rows that tombstones name.
CREATE VIEW stored.$table AS
WITH rows_of_files AS (
    $branches
)

SELECT r.*
FROM rows_of_files AS r
$without_gone;
