"""Consumers of features for benchmarks, made here: small encoders with heads, and a linear probe of a language model.

In: images of digits, or texts of this machine. Out: an encoder that is cut after a block, with its inputs, metrics and
judges; features as a codec gives them back; and how many bits two codings take for one loss.
"""
