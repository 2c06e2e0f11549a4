"""Encode one record: a tensor, several items or a group of features, with the figures of its error."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lamofc_codecs.abilities import Grouped
from lamofc_codecs.codec import Codec
from lamofc_codecs.contract import check_encoding
from lamofc_codecs.errors import OutOfReach, UnsupportedInput
from lamofc_codecs.pipeline.figures import figures_of, item_figures, part_figures
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.raw import least_size
from lamofc_codecs.record import DTYPE_CODES, Grid, Layer, Record, pack
from lamofc_codecs.registry import LOSSLESS, LOSSLESS_PROFILE, open_codec
from lamofc_codecs.source import AT_START, Encoding, Placement, Source

Encodable = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""One tensor, tokens x channels; several items of one feature for a common record; or the features of a group."""


@dataclass(frozen=True)
class Encoder:
    """The codec of a profile, with the target and the device of its encoding."""

    profile: Profile
    codec: Codec
    part_names: tuple[str, ...]
    """Features that the profile codes jointly; none for a profile of one feature."""
    quality: Quality | None
    """The target; without one, that of the profile."""
    device: torch.device

    @classmethod
    def of(cls, profile: Profile, quality: Quality | None, device: torch.device) -> Encoder:
        """Open the profile's codec."""
        codec = open_codec(profile)
        names = codec.part_names() if isinstance(codec, Grouped) else ()
        return cls(profile, codec, names, quality, device)

    def encode(self, element: Encodable, placement: Placement = AT_START) -> Record:
        """Code one element into a record."""
        if isinstance(element, Mapping):
            return self._encode_group(element, placement)
        if self.part_names:
            raise UnsupportedInput(
                f"the profile codes {list(self.part_names)} jointly, got one feature",
                "give them by name, or fit a profile on single features",
            )
        return self._encode_items(_checked_items(element), placement)

    def _encode_items(self, items: Sequence[Tensor], placement: Placement) -> Record:
        """Code items, with the lossless codec if the profile's codec gains nothing or misses the quality."""
        codec = self.codec
        tensor = items[0] if len(items) == 1 else torch.cat(list(items))
        source = self._placed(Source.of(tensor, codec.bulk, tuple(map(len, items))), placement)
        grid = Grid(tuple(map(len, items)), (tensor.shape[1],), (_dtype_name(tensor),))
        grid.check()
        encoding = self._encoding(source)
        record = _record(self.profile, codec, grid, source, encoding)
        gains = encoding.reached and len(record.data) <= least_size(source.tensor)
        if not gains and codec.id != LOSSLESS:
            lossless = open_codec(LOSSLESS_PROFILE)
            exact = _without_error(lossless.encode(source, None), encoding)
            exact_record = _record(LOSSLESS_PROFILE, lossless, grid, source, exact)
            if not encoding.reached or len(record.data) > len(exact_record.data):
                record, encoding = exact_record, exact
        return replace(record, items=tuple(item_figures(source, codec, encoding))) if len(items) > 1 else record

    def _placed(self, source: Source, placement: Placement) -> Source:
        """Tell a source its placement and the device, or refuse planes that it cannot have."""
        if source.tokens % placement.planes or (placement.planes > 1 and len(source.items) > 1):
            raise UnsupportedInput(
                f"{source.tokens} tokens of {len(source.items) or 1} items in {placement.planes} planes",
                "give planes of equally many tokens, and one item",
            )
        return replace(source, placement=placement, device=self.device)

    def _encoding(self, source: Source) -> Encoding:
        """Return the codec's encoding, or refuse one that breaks the contract of codecs."""
        encoding = self.codec.encode(source, self.quality)
        check_encoding(self.codec, encoding)
        return encoding

    def _encode_group(self, features: Mapping[str, Tensor], placement: Placement) -> Record:
        """Code features that share their tokens into one record."""
        names, codec = self.part_names, self.codec
        if sorted(features) != sorted(names):
            raise UnsupportedInput(
                f"profile {self.profile.id[:12]} codes {list(names) or 'single features'}, got {sorted(features)}",
                "give those features, or fit a profile on yours",
            )
        tensors = [_dense(features[name]) for name in names]
        if len({len(tensor) for tensor in tensors}) != 1 or codec.bulk is None:
            raise UnsupportedInput(
                f"features of {[len(tensor) for tensor in tensors]} tokens; those of a group share their tokens",
                "code each feature by itself",
            )
        widths, dtypes = tuple(tensor.shape[1] for tensor in tensors), tuple(map(_dtype_name, tensors))
        grid = Grid((len(tensors[0]),), widths, dtypes)
        grid.check()
        source = self._placed(Source.of_parts(tensors, codec.bulk), placement)
        encoding = self._encoding(source)
        if not encoding.reached:
            raise OutOfReach(f"no record of {list(names)} reaches {self.quality}", "code each feature by itself")
        record = _record(self.profile, codec, grid, source, encoding)
        return replace(record, parts=tuple(part_figures(names, source, encoding)))


def require_tensors(element: Encodable) -> Encodable:
    """Return the tensors of one record or sample, or refuse other values, such as NumPy arrays."""
    for tensor in tensors_in(element):
        if not isinstance(tensor, Tensor):
            kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
            raise UnsupportedInput(f"a {kind} where a tensor is expected", "torch.from_numpy(array) makes a tensor")
    return element


def elements_of(element: Encodable) -> int:
    """Count the elements of all tensors of one record."""
    return sum(tensor.numel() for tensor in tensors_in(require_tensors(element)))


def tensors_in(element: Encodable) -> Collection[Tensor]:
    """Return the tensors of one record."""
    if isinstance(element, Mapping):
        return element.values()
    return element if isinstance(element, Sequence) else [element]


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _checked_items(element: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """Return the items of one record, contiguous and on the CPU, or refuse those that do not belong together."""
    items = [_dense(item) for item in ([element] if isinstance(element, Tensor) else element)]
    if not items:
        raise UnsupportedInput("a record of 0 items: there is no item to code", "give at least one tensor")
    if len({(item.dtype, item.shape[1]) for item in items}) != 1:
        forms = [f"{item.dtype} {tuple(item.shape)}" for item in items]
        raise UnsupportedInput(
            f"items of one record have one dtype and channel count, got {forms}", "code each of them by itself"
        )
    return items


def _dense(tensor: Tensor) -> Tensor:
    """Return a tensor contiguous and on the CPU, or refuse one that is not tokens x channels of a dtype of records."""
    if tensor.dim() != 2 or tensor.layout != torch.strided or tensor.is_quantized:
        raise UnsupportedInput(
            f"tensor of {tensor.dtype} {tuple(tensor.shape)} in layout {tensor.layout}; "
            "expected dense tokens x channels",
            "bring it to two axes with a pattern, or call to_dense()",
        )
    if _dtype_name(tensor) not in DTYPE_CODES:
        raise UnsupportedInput(
            f"a tensor of {tensor.dtype}, which has no code in the record format",
            f"convert it to one of {', '.join(sorted(DTYPE_CODES))}",
        )
    return tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()


def _without_error(exact: Encoding, lossy: Encoding) -> Encoding:
    """Return a lossless encoding that tells of weighted errors where the one that it replaces does."""
    if lossy.errors[-1].weighted_sse is None:
        return exact
    return replace(exact, errors=tuple(replace(error, weighted_sse=0.0) for error in exact.errors))


def _record(profile: Profile, codec: Codec, grid: Grid, source: Source, encoding: Encoding) -> Record:
    """Frame the layers of an encoding."""
    layers = encoding.layers
    data = pack(codec.number, profile.id if codec.needs_profile else "", grid, [[layer] for layer in layers])
    header = len(data) - sum(map(len, layers))
    sizes = [len(layer) + header * (number == 0) for number, layer in enumerate(layers)]
    return Record(
        **figures_of(grid.elements, source.sums, encoding.errors[-1]),
        data=data,
        codec=codec.id,
        layers=tuple(
            Layer(size, error.sse, error.weighted_sse) for size, error in zip(sizes, encoding.errors, strict=True)
        ),
        payload_bits=8 * (len(data) - header),
    )
