-- One row for the whole store: ratios of sums, and means over whole samples (README, "totals").
CREATE VIEW totals AS
SELECT
    count(*) AS samples,
    CAST(sum(elements) AS BIGINT) AS elements,
    CAST(sum(raw_bytes) AS BIGINT) AS raw_bytes,
    CAST(sum(stored_bits) // 8 AS BIGINT) AS stored_bytes,
    CAST(sum(payload_bits) AS BIGINT) AS payload_bits,
    CAST(sum(stored_bits) AS BIGINT) AS stored_bits,
    CASE WHEN sum(elements) > 0 THEN sum(stored_bits) / sum(elements) END AS bpfp,
    CASE WHEN sum(elements) > 0 THEN sum(ebpfp * elements) / sum(elements) END AS ebpfp,
    CASE WHEN sum(elements) > 0 THEN sum(payload_bits) / sum(elements) END AS payload_bpfp,
    CASE WHEN sum(elements) > 0 THEN sum(payload_ebpfp * elements) / sum(elements) END AS payload_ebpfp,
    CASE WHEN sum(elements) > 0 THEN sum(mse * elements) / sum(elements) END AS mse,
    avg(bpfp) AS mean_bpfp,
    avg(ebpfp) AS mean_ebpfp,
    avg(payload_bpfp) AS mean_payload_bpfp,
    avg(payload_ebpfp) AS mean_payload_ebpfp,
    avg(mse) AS mean_mse,
    CAST(sum(fallbacks) AS BIGINT) AS fallbacks,
    CAST(sum(expanded) AS BIGINT) AS expanded
FROM whole_samples
HAVING count(*) > 0;
