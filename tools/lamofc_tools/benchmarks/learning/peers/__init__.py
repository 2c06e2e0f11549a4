"""Coders that are compared on the features of a language model: those of papers on caches, and this project's.

In: features of texts to learn from, facts about the model. Out: bytes, and the features decoded from them.
"""
