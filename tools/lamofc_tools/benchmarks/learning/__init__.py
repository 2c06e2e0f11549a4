"""Benchmarks of training: epochs beside other loaders, heads on decoded features, the papers' codecs."""
