"""A model and what makes its inputs, from a local folder or a hub, loaded when they are asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lamofc_codecs import MissingExtra
from lamofc_store.errors import BadArgument, NotFound, SourceError
from lamofc_tools.models.inputs import Given
from lamofc_tools.models.registry import Kind, kind_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

Inputs = dict[str, "Tensor"]
_DTYPES = ("float32", "bfloat16", "float16")
_LISTS = ("layers", "layer", "blocks", "h", "stages")
"""What lists of blocks are called."""


@dataclass
class LoadedModel:
    """A frozen model."""

    name: str
    """A local folder, or an id on a hub."""
    kind: Kind
    config: Any
    device: str
    model: nn.Module
    processor: Any
    """Of images or sounds, or the tokenizer."""

    @cached_property
    def blocks(self) -> nn.ModuleList:
        """Its blocks, counted from zero."""
        return blocks_of(self.model, getattr(self.config, "num_hidden_layers", None))

    @property
    def prefix(self) -> int:
        """Tokens before the patches: the class token and registers."""
        return 1 + int(getattr(self.config, "num_register_tokens", 0) or 0)

    def block(self, number: int) -> int:
        """A block by its number from zero; BadArgument unless it is there."""
        if not 0 <= number < len(self.blocks):
            raise BadArgument(
                f"block {number} of a model that has {len(self.blocks)}",
                f"--block 0 to {len(self.blocks) - 1}, or --layer 1 to {len(self.blocks)}",
            )
        return number

    def feature(self, block: int) -> str:
        """What stands behind a block is called so."""
        return f"layer.{block}.output" if self.kind.reads else f"layer.{block}"

    def inputs(self, given: list[Given]) -> Inputs:
        """What a batch of items is to the model, on its device; texts of a batch are of one length."""
        if self.kind.takes == "images":
            found = self.processor(images=[one.image() for one in given], return_tensors="pt")
        elif self.kind.takes == "sounds":
            rate = self.processor.sampling_rate
            found = self.processor([self._heard(one) for one in given], sampling_rate=rate, return_tensors="pt")
        else:
            found = self.processor([one.text for one in given], return_tensors="pt")
        return {name: tensor.to(self.device) for name, tensor in found.items() if name != "token_type_ids"}

    def prepares(self) -> str:
        """A digest of how inputs are made."""
        how = self.processor.get_vocab() if self.kind.reads else self.processor.to_dict()
        return hashlib.sha256(repr(sorted(how.items())).encode()).hexdigest()[:16]

    def length(self, given: Given) -> int:
        """Equal for what may share a batch: tokens of a text, values of a sound; 0 where all are made of one size."""
        if self.kind.reads:
            return len(self.processor(given.text)["input_ids"])
        if self.kind is Kind.AUDIO:
            return len(self._heard(given)) if self._longest is None else 0
        if getattr(self.processor, "do_resize", True):
            return 0
        width, height = given.image().size
        return int(width) << 32 | int(height)

    @property
    def _longest(self) -> int | None:
        """Values of a sound, where all are filled up to be as long."""
        return getattr(self.processor, "n_samples", None)

    def _heard(self, given: Given) -> NDArray[np.float32]:
        values, longest = given.sound(self.processor.sampling_rate), self._longest
        if longest is not None and len(values) > longest:
            here, most = (count / self.processor.sampling_rate for count in (len(values), longest))
            raise SourceError(f"{given.path} lasts {here:.1f} s, and {self.name} hears {most:g} of it", "cut it up")
        return values

    def grid(self, inputs: Inputs) -> str | None:
        """The grid of patches of a batch of images, as `--grid` takes it."""
        size = getattr(self.config, "patch_size", None)
        if self.kind is not Kind.VISION or not isinstance(size, int):
            return None
        height, width = inputs["pixel_values"].shape[-2:]
        return f"{self.prefix}+{height // size}x{width // size}"


def open_model(name: str, device: str = "cpu", dtype: str | None = None) -> LoadedModel:
    """Load a model for inference; `dtype` as torch names it, or as the weights are."""
    transformers = _transformers()

    wanted: torch.dtype | str = "auto" if dtype is None else checked(dtype)
    from safetensors import SafetensorError

    try:
        config = transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise NotFound(f"{name} is no model: {said}", "a folder of save_pretrained, or an id on a hub") from error
    kind = kind_of(config.model_type)
    maker = transformers.AutoModelForCausalLM if kind.reads else transformers.AutoModel
    try:
        model = maker.from_pretrained(name, dtype=wanted).to(device).eval().requires_grad_(False)
    except SafetensorError as error:
        raise NotFound(f"{name} holds damaged weights: {error}", "fetch the model again") from error
    if kind is Kind.AUDIO and config.is_encoder_decoder:
        model = model.get_encoder()
    return LoadedModel(name, kind, config, device, model, _reader(transformers, kind).from_pretrained(name))


def checked(dtype: str) -> torch.dtype:
    """What --dtype names."""
    import torch

    if dtype not in _DTYPES:
        raise BadArgument(f"--dtype {dtype}", f"one of {', '.join(_DTYPES)}")
    found: torch.dtype = getattr(torch, dtype)
    return found


def _reader(transformers: Any, kind: Kind) -> Any:
    if kind.takes == "images":
        return transformers.AutoImageProcessor
    return transformers.AutoTokenizer if kind.reads else transformers.AutoFeatureExtractor


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(f"models need transformers: {error}", "pip install 'lamofc-store[models]'") from error
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def blocks_of(model: nn.Module, count: int | None) -> nn.ModuleList:
    """The list of a model's blocks: of so many, where that is known."""
    from torch import nn

    lists = {name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    named = [module for name, module in lists.items() if name.rpartition(".")[2] in _LISTS]
    found = [module for module in named if count in (None, len(module))]
    if not found:
        raise BadArgument(f"no blocks are found in a {type(model).__name__}", "take its features by hooks of your own")
    return found[0]
