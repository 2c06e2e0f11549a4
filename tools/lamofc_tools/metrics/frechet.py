"""FID: the distance between two sets of images by the features that a network has for them."""

import torch
from torch import Tensor, nn

from lamofc_codecs import MissingExtra
from lamofc_store.errors import BadArgument


def frechet_distance(found: Tensor, told: Tensor) -> float:
    """Fréchet distance of two sets, samples x features each, as of normal distributions; for FID, 2048 of Inception.

    Or of two sets of images, samples x 3 x height x width of bytes: torchmetrics then fetches Inception's weights.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
    except ImportError as error:
        raise MissingExtra(f"FID is torchmetrics': {error}", "pip install 'lamofc-store[heads]'") from error
    if found.shape[1:] != told.shape[1:] or min(len(found), len(told)) < 2:
        raise BadArgument(
            f"sets of shapes {tuple(found.shape)} and {tuple(told.shape)}", "give two or more of each, of one shape"
        )
    given = found.dim() == 2
    meter = FrechetInceptionDistance(feature=_Given(found.shape[1]) if given else 2048, normalize=given)
    meter.set_dtype(torch.float64)
    meter.update(told, real=True)
    meter.update(found, real=False)
    return float(meter.compute())


class _Given(nn.Module):
    """Features that are there already."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, values: Tensor) -> Tensor:
        """As they are."""
        return values
