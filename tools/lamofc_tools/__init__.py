"""Command line, demo, heads, models, comparisons and benchmarks, built on the public names of the store."""

__all__: list[str] = []
