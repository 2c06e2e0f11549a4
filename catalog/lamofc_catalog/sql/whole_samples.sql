-- One row for each sample: all of its tensors together, as the papers count a sample (README, "whole_samples").
CREATE VIEW whole_samples AS
WITH codecs AS (
    SELECT
        profile,
        any_value(codec) AS codec
    FROM stored.profiles
    GROUP BY profile
),

parts AS (
    SELECT
        sample,
        count(*) AS features,
        count(dtype_bits) AS sized,
        sum(elements) AS elements,
        sum(elements * dtype_bits) AS source_bits,
        sum(8 * length - others_bits) AS stored_bits,
        sum(8 * length - others_bits - overhead_bits) AS payload_bits,
        sum((8 * length - others_bits) / dtype_bits) AS stored_share,
        sum((8 * length - others_bits - overhead_bits) / dtype_bits) AS payload_share,
        sum(CAST(sse AS DOUBLE)) AS sse,
        count(*) FILTER (WHERE r.codec <> codecs.codec) AS fallbacks,
        count(*) FILTER (WHERE 8 * length - others_bits > elements * dtype_bits) AS expanded
    FROM stored.records AS r
    LEFT JOIN codecs ON r.profile = codecs.profile
    GROUP BY sample
)

SELECT
    sample,
    features,
    CAST(elements AS BIGINT) AS elements,
    CASE WHEN sized = features THEN CAST(source_bits // 8 AS BIGINT) END AS raw_bytes,
    CAST(payload_bits AS BIGINT) AS payload_bits,
    CAST(stored_bits AS BIGINT) AS stored_bits,
    CASE WHEN elements > 0 THEN stored_bits / elements END AS bpfp,
    CASE WHEN elements > 0 AND sized = features THEN 32 * stored_share / elements END AS ebpfp,
    CASE WHEN elements > 0 THEN payload_bits / elements END AS payload_bpfp,
    CASE WHEN elements > 0 AND sized = features THEN 32 * payload_share / elements END AS payload_ebpfp,
    CASE WHEN elements > 0 THEN sse / elements END AS mse,
    fallbacks,
    expanded
FROM parts;
