-- The log of the store. Its table is created when a query first reads it.
CREATE VIEW commits AS
SELECT * FROM stored.commits;
