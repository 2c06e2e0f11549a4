"""Use CompressAI for models to train and for entropy tables from trained weights. Decoding does not need it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_codecs.errors import MissingExtra, UnsupportedInput
from lamofc_codecs.learned.checkpoints import canonical, load, sizes_of, weights_from
from lamofc_codecs.learned.networks import Layer, Sizes
from lamofc_codecs.learned.profile import DENSITIES, weights_profile
from lamofc_codecs.profile import Profile

_BOTTLENECK = "entropy_bottleneck."
_COMPUTED = ("_offset", "_quantized_cdf", "_cdf_length", "target", "likelihood_lower_bound.bound")
"""Tensors of an entropy bottleneck that follow from the others."""
PAPERS = {
    "hyperprior": Sizes("hyperprior", 128, 192),
    "elic": Sizes("elic", 192, 320, (16, 16, 32, 64, 192)),
}
"""Sizes of the networks in the papers, by architecture."""


def trainable(sizes: Sizes) -> nn.Module:
    """Build CompressAI's model of these sizes, with one channel in and out."""
    models = _compressai("models")
    n = sizes.inner
    if sizes.arch == "hyperprior":
        model = models.ScaleHyperprior(n, sizes.latent)
    elif sizes.arch == "elic":
        model = models.Elic2022Official(n, sizes.latent, list(sizes.groups))
        networks = sizes.networks()
        for name in model.latent_codec["y"].channel_context:  # versions of CompressAI differ in their widths
            layers = networks[f"channel.{name.removeprefix('y')}"]
            model.latent_codec["y"].channel_context[name] = nn.Sequential(*map(_module, layers))
    else:
        raise UnsupportedInput(f"no architecture {sizes.arch!r}", f"one of {', '.join(PAPERS)}")
    model.g_a[0] = nn.Conv2d(1, n, 5, 2, 2)
    model.g_s[-1] = nn.ConvTranspose2d(n, 1, 5, 2, 2, 1)
    built: nn.Module = model
    return built


def _module(layer: Layer) -> nn.Module:
    """Build a convolution or a ReLU."""
    if layer.kind == "relu":
        return nn.ReLU(inplace=True)
    return nn.Conv2d(layer.into, layer.out, layer.kernel, layer.stride, layer.kernel // 2)


def weights_from_model(model: nn.Module, lmbda: float | None = None) -> Profile:
    """Make a profile of the weights of a trained model."""
    return weights_from_state(model.state_dict(), lmbda)


def import_checkpoint(file: str | Path, lmbda: float | None = None) -> Profile:
    """Make a profile of the weights of a published checkpoint."""
    return _profile(load(Path(file)), lmbda)


def weights_from_state(state: Mapping[str, Tensor], lmbda: float | None = None) -> Profile:
    """Make a profile of the weights of a state dict."""
    return _profile(canonical(state), lmbda)


def _profile(state: Mapping[str, Tensor], lmbda: float | None) -> Profile:
    sizes = sizes_of(state)
    weights = weights_from(state, sizes)
    return weights_profile(sizes, weights, _tables(state, sizes.inner), lmbda)


def _tables(state: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Compute the entropy tables: of the hyper latent from its trained densities, of the latent for 64 spreads.

    The parameters of the densities are among the tensors returned, so that a checkpoint can be made again.
    """
    entropy, base = _compressai("entropy_models"), _compressai("models.base")
    hyper, latent = entropy.EntropyBottleneck(channels), entropy.GaussianConditional(None)
    own = {
        name.removeprefix(_BOTTLENECK): tensor.to(torch.float32)
        for name, tensor in state.items()
        if name.startswith(_BOTTLENECK) and not name.endswith(_COMPUTED)
    }
    try:
        missing = hyper.load_state_dict(own, strict=False).missing_keys
    except RuntimeError as error:
        raise UnsupportedInput(f"the entropy bottleneck's weights: {error}", "give another checkpoint") from error
    if lost := sorted(set(missing) - set(_COMPUTED)):
        raise UnsupportedInput(f"the entropy bottleneck lacks {lost}", "give another checkpoint")
    with torch.no_grad():
        hyper.update(force=True)
        latent.update_scale_table(base.get_scale_table())
    tables = {"medians": hyper.quantiles[:, 0, 1], "scales": latent.scale_table}
    for name, model in (("hyper", hyper), ("latent", latent)):
        tables |= {f"{name}_cdf": model._quantized_cdf, f"{name}_length": model._cdf_length}
        tables |= {f"{name}_offset": model._offset}
    dtypes = {"medians": torch.float32, "scales": torch.float32}
    tables = {name: tensor.detach().to(dtypes.get(name, torch.int32)) for name, tensor in tables.items()}
    return tables | {f"{DENSITIES}{name}": tensor.detach() for name, tensor in hyper.named_parameters()}


def _compressai(module: str) -> Any:
    """Import a module of CompressAI, and ignore the warnings of the packages that it imports."""
    from importlib import import_module

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import compressai  # noqa: F401

            return import_module(f"compressai.{module}")
    except ImportError as error:
        raise MissingExtra(
            f"training and importing weights need compressai: {error}", "pip install 'lamofc-store[learned]'"
        ) from error
