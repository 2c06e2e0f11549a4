-- Ratios that several views share.

-- Ten times the decimal logarithm of signal over noise. Without noise: infinity; with neither: null.
CREATE MACRO stored.decibels(signal, noise) AS
CASE
    WHEN noise > 0 AND signal > 0 THEN 10 * log10(signal / noise)
    WHEN noise > 0 AND signal <= 0 THEN CAST('-infinity' AS DOUBLE)
    WHEN noise = 0 AND signal > 0 THEN CAST('infinity' AS DOUBLE)
END;

-- Sum of squared differences from the mean.
CREATE MACRO stored.spread(total, squares, elements) AS
CASE WHEN elements > 0 THEN greatest(squares - total * total / elements, 0) END;
