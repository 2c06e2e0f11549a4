-- Metrics of runs, one a row.
CREATE VIEW metrics AS
SELECT
    run,
    feature,
    "name",
    "value",
    step
FROM stored.metrics;
