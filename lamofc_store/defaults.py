"""What is used where nothing is asked for."""

DEFAULT_CODEC = "klt"
DEFAULT_SNR_DB = 15.0
