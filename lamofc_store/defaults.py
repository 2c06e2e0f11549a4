"""Defaults of an ingest."""

DEFAULT_CODEC = "klt"
DEFAULT_SNR_DB = 15.0
