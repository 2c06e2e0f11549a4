-- Benchmark and training runs.
CREATE VIEW runs AS
SELECT
    run,
    kind,
    "name",
    config,
    started,
    seconds
FROM stored.runs;
