"""Features of a language model at splits, coded and replayed.

In: a model, texts of two kinds, coders. Out: bits, divergences of the model's answers, and the bits at one divergence.
"""
