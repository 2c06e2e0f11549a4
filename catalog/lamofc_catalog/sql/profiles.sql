-- Profiles of the store, by their id.
CREATE VIEW profiles AS
SELECT * FROM stored.profiles;
