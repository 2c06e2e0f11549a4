"""Defaults of ingests and of datasets."""

DEFAULT_CODEC = "klt"
DEFAULT_SNR_DB = 15.0
BLOCK_CACHE_BYTES = 1 << 28
"""Most bytes of decoded blocks that each process keeps for a dataset."""
