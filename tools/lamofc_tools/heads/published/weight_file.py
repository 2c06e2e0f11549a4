"""Heads of DINOv2 and DINOv3 in files of weights as they are released, recognised by the names of the weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lamofc_store.errors import BadArgument
from lamofc_tools import torch_checkpoint
from lamofc_tools.heads.contract import Task
from lamofc_tools.heads.published.decoder import HeadParts, TokenDecoder
from lamofc_tools.heads.published.depth_bins import DepthBins
from lamofc_tools.heads.published.dpt import DinoDpt
from lamofc_tools.heads.published.linear import LinearClassifier, LinearMaps
from lamofc_tools.heads.published.weights import real

_WRAPPERS = ("state_dict", "model")
"""Keys under which training programs keep the weights."""
_V2_PREFIX = "decode_head."
"""Beginning of the names of all weights in heads of DINOv2 for maps."""
_V2_BINS, _V3_BINS = DepthBins(0.001, 10.0), DepthBins(0.001, 100.0)
"""Depths of the heads released for NYUv2, and for DINOv3's mixture of synthetic data."""
_V2_UPSAMPLING = 4
"""Factor by which DINOv2's linear depth head enlarges the maps."""


@dataclass(frozen=True)
class _Released:
    """Weights of a head, the channels of the layers that are given to it, and the range of its depths."""

    weights: dict[str, Tensor]
    widths: tuple[int, ...]
    v2: bool
    bins: DepthBins

    def parts(self, decoder: TokenDecoder, task: Task, *, normed: bool) -> HeadParts:
        """Return the parts of a head that reads all layers."""
        return HeadParts(decoder, task, self.widths, (normed,) * len(self.widths))

    def module(self, module: nn.Module, name: str) -> Any:
        """Load the weights whose names begin with a module's name into it."""
        begin = f"{name}." if name else ""
        module.load_state_dict(
            {key.removeprefix(begin): self.weights[key] for key in self.weights if key.startswith(begin)}
        )
        return module


def read_weights(file: Path, widths: Sequence[int], bins: DepthBins | None) -> HeadParts:
    """Read a released head of layers of some channels; BadArgument for weights of no head that is known."""
    weights = _load(file)
    form = next((make for name, make in _FORMS.items() if name in _plain(weights)), None)
    if form is None:
        raise BadArgument(
            f"{file} holds {', '.join(sorted(weights)[:3]) or 'no weights'}: no head that is known",
            "linear and DPT heads of DINOv2 and DINOv3 are, and files of `lamofc train`",
        )
    v2 = any(name.startswith(_V2_PREFIX) for name in weights)
    released = _Released(_plain(weights), tuple(widths), v2, bins or (_V2_BINS if v2 else _V3_BINS))
    try:
        parts = form(released)
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadArgument(f"{file} is no complete head: {reason}", "fetch the file again") from error
    parts.decoder.eval().requires_grad_(False)
    return parts


def _load(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, running no code in it."""
    try:
        weights: Any = load_file(file) if file.suffix == ".safetensors" else torch_checkpoint.read(file)
    except (BadArgument, SafetensorError) as error:
        raise BadArgument(
            f"{file} is no head: it is no safetensors file, and no checkpoint of torch with tensors alone",
            "`lamofc train` writes heads; fetch a released one again",
        ) from error
    for wrapper in _WRAPPERS:
        inner = weights.get(wrapper) if isinstance(weights, Mapping) else None
        weights = inner if isinstance(inner, Mapping) else weights
    if not isinstance(weights, Mapping):
        raise BadArgument(f"{file} holds a {type(weights).__name__}", "name a file of weights")
    return {
        str(name): real(f"{name} of {file}", tensor) for name, tensor in weights.items() if isinstance(tensor, Tensor)
    }


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by their names in a head of either version."""
    return {name.removeprefix(_V2_PREFIX): tensor for name, tensor in weights.items()}


def _classifier(released: _Released) -> HeadParts:
    classes, inputs = released.weights["weight"].shape
    expected = sum(released.widths) + released.widths[-1]
    if inputs != expected:
        raise BadArgument(
            f"a matrix for {inputs} channels, and layers of {', '.join(map(str, released.widths))}",
            "give the last layer, or the last four: the head takes their class tokens and the last one's mean patch",
        )
    linear = released.module(nn.Linear(inputs, classes), "")
    return released.parts(LinearClassifier(linear), Task("classes", classes), normed=True)


def _segmentation(released: _Released) -> HeadParts:
    classify, norm = _pointwise(released, "conv_seg"), _batch_norm(released, "bn")
    decoder = LinearMaps(classify, norm, bins=None, class_token=_has_class_token(released, classify))
    return released.parts(decoder, Task("segments", classify.out_channels), normed=True)


def _linear_depth(released: _Released) -> HeadParts:
    classify, norm = _pointwise(released, "conv_depth"), _batch_norm(released, "batchnorm_layer")
    decoder = LinearMaps(
        classify,
        norm,
        bins=released.bins,
        class_token=_has_class_token(released, classify),
        upsampling=_V2_UPSAMPLING if released.v2 else 1,
    )
    return released.parts(decoder, Task("depth"), normed=not released.v2)


def _dpt(released: _Released) -> HeadParts:
    widths = DinoDpt.widths(released.weights)
    if widths != released.widths:
        raise BadArgument(
            f"a DPT head on layers of {', '.join(map(str, widths))} channels, and layers of"
            f" {', '.join(map(str, released.widths))}",
            "give the four layers that it was trained on, from early to late",
        )
    return released.parts(DinoDpt(released.weights, released.bins), Task("depth"), normed=not released.v2)


def _pointwise(released: _Released, name: str) -> nn.Conv2d:
    outputs, channels = released.weights[f"{name}.weight"].shape[:2]
    convolution: nn.Conv2d = released.module(nn.Conv2d(channels, outputs, 1), name)
    return convolution


def _batch_norm(released: _Released, name: str) -> nn.Module:
    weight = released.weights.get(f"{name}.weight")
    norm: nn.Module = nn.Identity() if weight is None else released.module(nn.BatchNorm2d(len(weight)), name)
    return norm


def _has_class_token(released: _Released, classify: nn.Conv2d) -> bool:
    """Tell whether patches come with the class token beside them; BadArgument where neither fits."""
    channels = sum(released.widths)
    if classify.in_channels not in (channels, 2 * channels):
        raise BadArgument(
            f"a matrix for {classify.in_channels} channels, and layers of {', '.join(map(str, released.widths))}",
            "give the layers that the head was trained on",
        )
    return classify.in_channels == 2 * channels


_FORMS: dict[str, Callable[[_Released], HeadParts]] = {
    "conv_depth.head.0.weight": _dpt,
    "conv_depth.weight": _linear_depth,
    "conv_seg.weight": _segmentation,
    "weight": _classifier,
}
"""Name of a weight by which each form of head is recognised, with the function that makes it."""
