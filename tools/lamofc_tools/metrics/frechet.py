"""Fréchet inception distance (FID) between two sets of images, or between two sets of their features."""

import torch
from torch import Tensor, nn

from lamofc_codecs import MissingExtra
from lamofc_store.errors import BadArgument


def frechet_distance(generated: Tensor, real: Tensor) -> float:
    """Compute the Fréchet distance between the normal distributions that are fitted to two sets.

    A set is samples x features, for FID the 2048 features of Inception; or it is images, samples x 3 x height x width
    of bytes, of which torchmetrics computes these features. It downloads Inception's weights for that.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:
        raise MissingExtra(f"FID is torchmetrics': {error}", "pip install 'lamofc-store[heads]'") from error
    if generated.shape[1:] != real.shape[1:] or min(len(generated), len(real)) < 2:
        raise BadArgument(
            f"sets of shapes {tuple(generated.shape)} and {tuple(real.shape)}", "give two or more of each, of one shape"
        )
    are_features = generated.dim() == 2
    feature = _Identity(generated.shape[1]) if are_features else 2048
    meter = FrechetInceptionDistance(feature=feature, normalize=are_features)
    meter.set_dtype(torch.float64)
    meter.update(real, real=True)
    meter.update(generated, real=False)
    return float(meter.compute())


class _Identity(nn.Module):
    """A stand-in for Inception that returns features which are computed already."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, values: Tensor) -> Tensor:
        """Return the features unchanged."""
        return values
