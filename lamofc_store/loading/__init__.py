"""Training from a store: a map-style dataset, a distributed batch sampler, prefetch, and batch decode.

In: a session, features, targets. Out: batches of tensors, in an order that is a function of seed, epoch and snapshot.
"""

from lamofc_store.loading.collate import Joined, Padded
from lamofc_store.loading.dataset import FeatureDataset
from lamofc_store.loading.dataset_rows import Target
from lamofc_store.loading.loader import FeatureLoader

__all__ = [
    "FeatureDataset",
    "FeatureLoader",
    "Joined",
    "Padded",
    "Target",
]
