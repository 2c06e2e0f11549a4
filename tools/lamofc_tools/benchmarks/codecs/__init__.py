"""Benchmarks of codecs: rates, speeds and memory."""
