"""Products of integer matrices, exact and so equal on every machine.

In: matrices of int8, the left one perhaps of two bytes. Out: their product, in the way that is fastest here."""

from lamofc_codecs.runtime.products.exact_product import int8_matmul, two_byte_matmul

__all__ = ["int8_matmul", "two_byte_matmul"]
