-- One row for each feature. Ratios are computed from sums; the columns mean_* are means over samples (README, "features").
CREATE VIEW features AS
WITH parts AS (
    SELECT
        feature,
        codec,
        dtype_bits,
        profile,
        count(*) AS samples,
        sum(elements) AS elements,
        sum(length) AS lengths,
        sum(others_bits) AS others_bits,
        sum(overhead_bits) AS overhead_bits,
        sum(CAST("sum" AS DOUBLE)) AS total,
        sum(CAST(sum_sq AS DOUBLE)) AS squares,
        sum(CAST(sse AS DOUBLE)) AS sse,
        sum(CAST(signal AS DOUBLE)) AS signal,
        sum(CAST(coalesce(bulk_sse, sse) AS DOUBLE)) AS bulk_sse,
        max(max_error) AS max_error,
        sum(CAST(encode_seconds AS DOUBLE)) AS encode_seconds,
        count(*) FILTER (WHERE elements > 0) AS filled,
        sum((8 * length - others_bits) / elements) AS rates,
        sum(overhead_bits / elements) AS overheads,
        sum(CAST(sse AS DOUBLE) / elements) AS errors,
        count(*) FILTER (WHERE 8 * length - others_bits > elements * dtype_bits) AS expanded
    FROM stored.records
    GROUP BY ALL
),

codecs AS (
    SELECT
        profile,
        any_value(codec) AS codec
    FROM stored.profiles
    GROUP BY profile
),

bits AS (
    SELECT
        parts.*,
        8 * lengths - others_bits AS stored_bits,
        CASE WHEN parts.codec <> p.codec THEN samples ELSE 0 END AS fallbacks
    FROM parts
    LEFT JOIN codecs AS p ON parts.profile = p.profile
),

sizes AS (
    SELECT
        used.feature,
        sum(p.bytes) AS profile_bytes
    FROM (SELECT DISTINCT feature, profile FROM parts) AS used
    INNER JOIN stored.profiles AS p ON used.profile = p.profile
    GROUP BY used.feature
)

SELECT
    bits.feature,
    string_agg(DISTINCT codec, ',' ORDER BY codec) AS codec,
    CAST(sum(samples) AS BIGINT) AS samples,
    CAST(sum(elements) AS BIGINT) AS elements,
    CAST(sum(elements * dtype_bits) // 8 AS BIGINT) AS raw_bytes,
    CAST(sum(stored_bits) // 8 AS BIGINT) AS stored_bytes,
    CAST(sum(stored_bits - overhead_bits) AS BIGINT) AS payload_bits,
    CAST(sum(stored_bits) AS BIGINT) AS stored_bits,
    CASE WHEN sum(elements) > 0 THEN sum(stored_bits) / sum(elements) END AS bpfp,
    CASE WHEN sum(elements) > 0 THEN sum(stored_bits * 32 / dtype_bits) / sum(elements) END AS ebpfp,
    CASE WHEN sum(elements) > 0 THEN sum(stored_bits - overhead_bits) / sum(elements) END AS payload_bpfp,
    CASE WHEN sum(elements) > 0
        THEN sum((stored_bits - overhead_bits) * 32 / dtype_bits) / sum(elements)
    END AS payload_ebpfp,
    CASE WHEN sum(elements) > 0 THEN sum(sse) / sum(elements) END AS mse,
    CASE WHEN sum(filled) > 0 THEN sum(rates) / sum(filled) END AS mean_bpfp,
    CASE WHEN sum(filled) > 0 THEN sum(rates * 32 / dtype_bits) / sum(filled) END AS mean_ebpfp,
    CASE WHEN sum(filled) > 0 THEN sum(rates - overheads) / sum(filled) END AS mean_payload_bpfp,
    CASE WHEN sum(filled) > 0
        THEN sum((rates - overheads) * 32 / dtype_bits) / sum(filled)
    END AS mean_payload_ebpfp,
    CASE WHEN sum(filled) > 0 THEN sum(errors) / sum(filled) END AS mean_mse,
    stored.decibels(sum(signal), sum(bulk_sse)) AS snr_db,
    stored.decibels(stored.spread(sum(total), sum(squares), sum(elements)), sum(sse)) AS snr_total_db,
    CAST(max(max_error) AS DOUBLE) AS max_error,
    CAST(coalesce(any_value(sizes.profile_bytes), 0) AS BIGINT) AS profile_bytes,
    sum(encode_seconds) AS encode_seconds,
    CAST(sum(fallbacks) AS BIGINT) AS fallbacks,
    CAST(sum(expanded) AS BIGINT) AS expanded
FROM bits
LEFT JOIN sizes ON bits.feature = sizes.feature
GROUP BY bits.feature
ORDER BY bits.feature;
