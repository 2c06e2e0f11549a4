-- Samples and features that an ingest skipped.
CREATE VIEW skipped AS
SELECT
    sample,
    feature,
    source,
    error,
    message
FROM stored.skipped;
