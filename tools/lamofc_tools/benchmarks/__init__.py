"""Benchmarks, started as `tools/bench NAME`: `codecs`, `store` and `learning` hold one program a file.

The files beside the folders hold what several programs share: the frame, synthetic data, external coders. Each program
prints a table and, as its last line, one JSON document with the conditions of the measurement.
"""
