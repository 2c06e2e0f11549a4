"""One reader a file format.

In: a path. Out: the tensors of one sample, or stacked columns of which each row belongs to a sample."""

from lamofc_store.sources.readers import compressai_vision, lamofc_npy, numpy_files, safetensors_files, torch_files
from lamofc_store.sources.readers.nested_sample import sample_of
from lamofc_store.sources.readers.torch_files import of_family

__all__ = [
    "compressai_vision",
    "lamofc_npy",
    "numpy_files",
    "of_family",
    "safetensors_files",
    "sample_of",
    "torch_files",
]
