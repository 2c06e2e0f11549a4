"""Training from a store: a map-style dataset, a batch sampler, prefetch and batch decode.

In: a session, features and targets. Out: batches of tensors, in an order that is a function of seed and epoch."""

from lamofc_store.loading.collate import Joined, Padded
from lamofc_store.loading.dataset import DatasetOptions, FeatureDataset, Target
from lamofc_store.loading.loader import FeatureLoader

__all__ = [
    "DatasetOptions",
    "FeatureDataset",
    "FeatureLoader",
    "Joined",
    "Padded",
    "Target",
]
