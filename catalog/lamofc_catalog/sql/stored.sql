-- The live rows of one table as they lie in its files: all branches, without the rows that are gone.
CREATE VIEW stored.$table AS
WITH rows_of_files AS (
    $branches
)

SELECT r.*
FROM rows_of_files AS r
$without_gone;
