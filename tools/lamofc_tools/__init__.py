"""What stands on the store's public names: the command line, the demo, heads and benchmarks."""

__all__: list[str] = []
