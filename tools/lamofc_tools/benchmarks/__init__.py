"""Benchmarks: `tools/bench NAME`. Each prints a table and, last, one JSON document with the machine named."""
