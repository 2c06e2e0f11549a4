-- One row for each live sample. Where rows of one sample may be in several files, the last value that is not null
-- wins; where the files' ranges of samples do not overlap, every sample has one row already.
CREATE VIEW samples AS
SELECT
    r.sample,
    $columns
FROM stored.samples AS r
$grouping;
