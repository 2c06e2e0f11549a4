-- One row for each live sample. Where rows of one sample may stand in several files, the last value that is not null
-- counts; where the files' ranges of samples do not meet, every row is alone already.
CREATE VIEW samples AS
SELECT
    sample,
    $columns
FROM stored.samples
$grouping;
