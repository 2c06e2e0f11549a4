"""Benchmarks of the store and the catalog: requests, lookups, start-up."""
