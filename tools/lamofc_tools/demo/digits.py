"""Handwritten digits, 1797 images of 8 x 8 pixels, from the package scikit-learn."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_codecs import MissingExtra
from lamofc_store import Sample

CLASSES = 10
_HELD_OUT_SHARE = 0.25


@dataclass(frozen=True)
class Digits:
    """Images in shuffled order, the held-out ones last."""

    images: Tensor
    """Samples x 8 x 8, from 0 to 1."""
    labels: Tensor
    training: int
    """Number of training images, which come first."""

    @property
    def split(self) -> list[str]:
        """Return `train` or `test` for each image."""
        return ["train" if number < self.training else "test" for number in range(len(self.labels))]

    def samples(self, features: Mapping[str, Tensor], numbers: range) -> list[Sample]:
        """Make samples of some images, with their rows of the features, labels and splits."""
        split = self.split
        return [
            Sample(
                f"digit_{number:04d}",
                {name: tensor[number] for name, tensor in features.items()},
                {"label": int(self.labels[number]), "split": split[number]},
            )
            for number in numbers
        ]


def load(seed: int, count: int | None = None) -> Digits:
    """Load all digits, or the first `count` of the shuffled ones; three quarters are for training."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra(
            f"the demo's digits come with scikit-learn: {error}", "pip install 'lamofc-store[demo]'"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:count]
    images = torch.from_numpy(pixels).float()[order].reshape(-1, 8, 8) / 16
    return Digits(images, torch.from_numpy(labels)[order].long(), round(len(order) * (1 - _HELD_OUT_SHARE)))
