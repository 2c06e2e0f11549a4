"""A model of transformers with its preprocessor, loaded from a local folder or a hub."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lamofc_codecs import MissingExtra
from lamofc_store.errors import BadArgument, Hint, NotFound, SourceError, first_line
from lamofc_tools.models.inputs import ImageViews, ModelInput
from lamofc_tools.models.model_source import weights_digest
from lamofc_tools.models.registry import ModelKind, model_kind

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

Inputs = dict[str, "Tensor"]
_DTYPES = ("float32", "bfloat16", "float16")
_BLOCK_LISTS = ("layers", "layer", "blocks", "h", "stages")
"""Attributes under which models keep the list of their blocks."""


@dataclass
class LoadedModel:
    """A frozen model with its config, its preprocessor and the device that it runs on."""

    name: str
    """A local folder, or an id on a hub."""
    kind: ModelKind
    config: Any
    device: str
    model: nn.Module
    processor: Any
    """Image processor, feature extractor or tokenizer."""

    @cached_property
    def blocks(self) -> nn.ModuleList:
        """The blocks, counted from zero."""
        return find_blocks(self.model, getattr(self.config, "num_hidden_layers", None))

    @property
    def last_split(self) -> int:
        """The last block after which the model may be cut; the rest of a decoder has a block or more."""
        return len(self.blocks) - 1 - (self.kind.cache is not None)

    @property
    def has_head(self) -> bool:
        """Whether an encoder answers, by classes, letters or tokens; those without a head give their final states."""
        return type(self.model).__name__.endswith(self.kind.heads)

    @property
    def body(self) -> nn.Module:
        """The model as `open_model` loads it without a head; a model of texts is whole."""
        if self.kind.cache is not None or not self.has_head:
            return self.model
        model: Any = self.model
        body: nn.Module = model.get_encoder() if self.config.is_encoder_decoder else model.base_model
        return body

    @property
    def digest(self) -> str:
        """Digest of the weights, the same in each dtype that holds them; in float16, which does not, another."""
        import torch

        return weights_digest([self.model], torch.bfloat16)

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches: the class token and registers."""
        return 1 + int(getattr(self.config, "num_register_tokens", 0) or 0)

    def require_block(self, number: int) -> int:
        """Return the number of a block, counted from zero; BadArgument if the model has no such block."""
        if not 0 <= number < len(self.blocks):
            raise BadArgument(
                f"block {number} of a model that has {len(self.blocks)}",
                Hint(f"give [block] 0 to {len(self.blocks) - 1}, counted from zero"),
            )
        return number

    def output_name(self, block: int) -> str:
        """Return the name of the feature after a block."""
        return self.kind.output.format(block)

    def inputs(self, items: list[ModelInput], views: ImageViews | None = None) -> Inputs:
        """Prepare a batch for the model, on its device; the texts of a batch must have the same length.

        With `views`, an image gives several rows, and all images of a batch must have views of the same size.
        """
        if views is not None:
            prepared = {"pixel_values": self._views(items, views)}
        elif self.kind.inputs == "images":
            prepared = self.processor(images=[item.image() for item in items], return_tensors="pt")
        elif self.kind.inputs == "sounds":
            rate = self.processor.sampling_rate
            prepared = self.processor([self._waveform(item) for item in items], sampling_rate=rate, return_tensors="pt")
        else:
            prepared = self.processor([item.text for item in items], return_tensors="pt")
        return {name: tensor.to(self.device) for name, tensor in prepared.items() if name != "token_type_ids"}

    def preprocessing_digest(self) -> str:
        """Return a digest of the preprocessor's settings."""
        settings = self.processor.get_vocab() if self.kind.inputs == "texts" else self.processor.to_dict()
        return hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:16]

    def length(self, item: ModelInput) -> int:
        """Return a number that is equal for inputs of the same prepared size, which may share a batch.

        It is the number of tokens of a text or of values of a sound, or encodes the size of an image that is not
        resized. It is 0 if the preprocessor makes all inputs equally large.
        """
        if self.kind.inputs == "texts":
            return len(self.processor(item.text)["input_ids"])
        if self.kind.inputs == "sounds":
            return len(self._waveform(item)) if self._padded_length is None else 0
        if getattr(self.processor, "do_resize", True):
            return 0
        width, height = item.image().size
        return int(width) << 32 | int(height)

    def _views(self, items: list[ModelInput], views: ImageViews) -> Tensor:
        """Return the views of images, normalised by the preprocessor's mean and deviation."""
        import torch

        mean, std = self.processor.image_mean, self.processor.image_std
        images = [item.image() for item in items]
        for item, image in zip(items, images, strict=True):
            views.check_size(image, item.image_path or item.path)
        return torch.cat([views.tensor(image, mean, std) for image in images])

    @property
    def _padded_length(self) -> int | None:
        """Values to which every sound is padded; None if sounds keep their length."""
        return getattr(self.processor, "n_samples", None)

    def _waveform(self, item: ModelInput) -> NDArray[np.float32]:
        values, longest = item.waveform(self.processor.sampling_rate), self._padded_length
        if longest is not None and len(values) > longest:
            seconds, limit = (count / self.processor.sampling_rate for count in (len(values), longest))
            raise SourceError(
                f"{item.path} lasts {seconds:.1f} s, and {self.name} takes at most {limit:g} s", "cut it into parts"
            )
        return values

    def grid(self, inputs: Inputs) -> str | None:
        """Return the token grid of a batch of images as `P+HxW`; None for models whose tokens are not patches."""
        size = getattr(self.config, "patch_size", None)
        if not self.kind.patches or not isinstance(size, int):
            return None
        height, width = inputs["pixel_values"].shape[-2:]
        return f"{self.prefix}+{height // size}x{width // size}"


def open_model(name: str, device: str = "cpu", dtype: str | None = None, *, head: bool = False) -> LoadedModel:
    """Load a model for inference; without `dtype` it keeps the dtype of its weights.

    With `head` the model answers as its checkpoint does, where this has a head: by classes of images, by letters or
    tokens of sounds. Models of texts always answer.
    """
    transformers = _import_transformers()

    from safetensors import SafetensorError

    torch_dtype: torch.dtype | str = "auto" if dtype is None else parse_dtype(dtype)
    try:
        config = transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise NotFound(
            f"{name} is no model: {first_line(error)}", "a folder of save_pretrained, or an id on a hub"
        ) from error
    kind = model_kind(config.model_type)
    architecture = _architecture_with_head(config, kind) if head else None
    try:
        model = getattr(transformers, architecture or kind.model).from_pretrained(name, dtype=torch_dtype)
    except SafetensorError as error:
        raise NotFound(f"{name} holds damaged weights: {error}", "fetch the model again") from error
    model = model.to(device).eval().requires_grad_(False)
    if kind.cache is None and config.is_encoder_decoder and architecture is None:
        model = model.get_encoder()
    return LoadedModel(
        name, kind, config, device, model, getattr(transformers, kind.preprocessor).from_pretrained(name)
    )


def _architecture_with_head(config: Any, kind: ModelKind) -> str | None:
    """Return the class of a checkpoint's model with its head; None if it has no head that is known here."""
    return next((name for name in config.architectures or () if name.endswith(kind.heads)), None)


def parse_dtype(name: str) -> torch.dtype:
    """Return the torch dtype of that name; BadArgument for a dtype that models do not run in."""
    import torch

    if name not in _DTYPES:
        raise BadArgument(f"a model in {name}", Hint(f"give [dtype] {', '.join(_DTYPES)}"))
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(f"models need transformers: {error}", "pip install 'lamofc-store[models]'") from error
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def find_blocks(model: nn.Module, count: int | None) -> nn.ModuleList:
    """Find the list of a model's blocks; with `count`, only a list of that length."""
    from torch import nn

    lists = {name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    named = [module for name, module in lists.items() if name.rpartition(".")[2] in _BLOCK_LISTS]
    fitting = [module for module in named if count in (None, len(module))]
    if not fitting:
        raise BadArgument(
            f"no list of blocks in a {type(model).__name__}: {', '.join(lists) or 'no list at all'}",
            "record its activations by forward hooks of your own",
        )
    return fitting[0]
