-- The log of the store.
CREATE VIEW commits AS
SELECT * FROM stored.commits;
