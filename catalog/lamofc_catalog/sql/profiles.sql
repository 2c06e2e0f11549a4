-- Profiles of the store, by their id. The commit that first named a profile is looked up in the log,
-- its configuration in its file.
CREATE VIEW profiles AS
WITH first_commits AS (
    SELECT
        named.profile,
        min(c.n) AS n
    FROM stored.commits AS c
    CROSS JOIN unnest(c.profiles) AS named (profile)
    GROUP BY named.profile
)

SELECT
    p.profile,
    p.codec,
    p.features,
    p.bytes,
    coalesce(p."commit", first_commits.n) AS "commit",
    p.quality,
    coalesce(p.config, configs.config) AS config
FROM stored.profiles AS p
LEFT JOIN first_commits ON p.profile = first_commits.profile
LEFT JOIN stored.configs AS configs ON p.profile = configs.profile;
