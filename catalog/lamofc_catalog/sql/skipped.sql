-- What an ingest could not take.
CREATE VIEW skipped AS
SELECT
    sample,
    feature,
    source,
    error,
    message
FROM stored.skipped;
