"""From rows to tensors: records fetched together, decoded together, each in its own shape again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamofc_store.commits import log
from lamofc_store.errors import CorruptStore, NotFound
from lamofc_store.reading import layer_selection
from lamofc_store.reading.fetching import Numbers, Places, fetch, joined
from lamofc_store.sample import layout
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from lamofc_codecs import Packed, Pool, Profile, Quality
    from lamofc_store.session import Session
    from lamofc_store.storage import Cache

COLUMNS = ("segment", "offset", "length", "shape", "pattern", "profile", "part", "item", "dtype")

Cell = tuple[int, int]
"""Which item of its record a tensor is, and which part."""


class Form(NamedTuple):
    """What a feature looks like, and where it stands in its record."""

    shape: tuple[int, ...]
    pattern: str
    profile: str
    cell: Cell
    dtype: str


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Records to read: where they lie, and what their tensors look like."""

    places: Places
    forms: tuple[Form, ...]

    @classmethod
    def of(cls, rows: "pa.Table") -> "ReadPlan":
        """What record rows tell."""
        shapes = map(tuple, rows["shape"].to_pylist())
        forms: dict[Form, Form] = {}
        cells = zip(rows["item"].to_pylist(), rows["part"].to_pylist(), strict=True)
        columns = [rows[name].to_pylist() for name in ("pattern", "profile")]
        listed = map(Form, shapes, *columns, cells, rows["dtype"].to_pylist())
        return cls(Places.of(rows), tuple(forms.setdefault(form, form) for form in listed))

    @property
    def even(self) -> bool:
        """Whether all are alike, each the first of its record."""
        return len(set(self.forms)) == 1 and self.forms[0].cell == (0, 0)

    def take(self, indices: Sequence[int]) -> "ReadPlan":
        """Some of them, in the order asked for."""
        return ReadPlan(self.places.take(indices), tuple(self.forms[index] for index in indices))


def together(parts: Sequence[ReadPlan]) -> ReadPlan:
    """Several lists, one after the other."""
    return ReadPlan(joined([part.places for part in parts]), tuple(form for part in parts for form in part.forms))


def read(
    storage: Storage, profiles: Mapping[str, "Profile"], wanted: ReadPlan, cache: "Cache | None" = None
) -> list["torch.Tensor"]:
    """The features that those records hold, in order; a record that several of them share is read once."""
    return decoded(profiles, wanted, *fetched(storage, wanted, cache)) if wanted.forms else []


def fetched(storage: Storage, wanted: ReadPlan, cache: "Cache | None" = None) -> "tuple[Packed, Numbers]":
    """The records, each once, and which of them each feature is in."""
    places, which = _distinct(wanted.places)
    return fetch(storage, places, cache), which


def decoded(
    profiles: Mapping[str, "Profile"], wanted: ReadPlan, packed: "Packed", which: Numbers, **options: Any
) -> list["torch.Tensor"]:
    """Features from records that were fetched; `device` and `dtype` are those of `lamofc_codecs.decode`."""
    from lamofc_codecs import decode

    with _named(wanted):
        verb = partial(decode, profiles=_needed(profiles, wanted), **options)
        found = _decoded(verb, packed, which, [form.cell for form in wanted.forms])
    pairs = zip(found, wanted.forms, strict=True)
    return [layout.from_tokens(tensor, form.pattern, form.shape) for tensor, form in pairs]


def stacked(
    profiles: Mapping[str, "Profile"], wanted: ReadPlan, packed: "Packed", which: Numbers, **options: Any
) -> "torch.Tensor":
    """The same for features that are all alike (`wanted.even`), decoded straight into one tensor."""
    import torch

    from lamofc_codecs import decode

    form, device = wanted.forms[0], options.pop("device", None)
    dtype = options.pop("dtype", None) or getattr(torch, form.dtype)
    tokens, channels = layout.tokens_of(form.shape, form.pattern), layout.channels_of(form.shape, form.pattern)
    room = torch.empty(len(which), tokens, channels, dtype=dtype, device=device)
    records = [packed[record] for record in which]
    with _named(wanted):
        decode(records, _needed(profiles, wanted), parts=[0], items=[0], out=list(room), **options)
    one = layout.from_tokens(room[0], form.pattern, form.shape)
    if one.is_contiguous() and one.data_ptr() == room.data_ptr():
        return room.view(len(which), *form.shape)
    return torch.stack([layout.from_tokens(tensor, form.pattern, form.shape) for tensor in room])


def pooled(
    profiles: Mapping[str, "Profile"],
    wanted: ReadPlan,
    packed: "Packed",
    which: Numbers,
    pool: "Pool",
    device: "torch.device | str | None" = None,
) -> list["torch.Tensor"]:
    """Each feature pooled to one vector, float32: its tokens are all axes but the last."""
    from lamofc_codecs import pooled

    if not all(layout.in_order(form.shape, form.pattern) for form in set(wanted.forms)):
        whole = decoded(profiles, wanted, packed, which, device=device)
        return [pool.of(tensor.reshape(-1, tensor.shape[-1])).flatten() for tensor in whole]
    verb = partial(pooled, profiles=_needed(profiles, wanted), pool=pool, device=device)
    with _named(wanted):
        found = _decoded(verb, packed, which, [form.cell for form in wanted.forms])
    return [tensor.flatten() for tensor in found]


def _needed(profiles: Mapping[str, "Profile"], wanted: ReadPlan) -> "list[Profile]":
    return [profiles[identity] for identity in {form.profile for form in wanted.forms if form.profile}]


@contextmanager
def _named(wanted: ReadPlan) -> Iterator[None]:
    """A codec's refusal of a record, told as damage of the store."""
    from lamofc_codecs import CodecError

    try:
        yield
    except CodecError as error:
        raise CorruptStore(
            f"{wanted.places.name(0)} or after it: {error}", "lamofc verify names all that is damaged"
        ) from error


def _distinct(places: Places) -> tuple[Places, Numbers]:
    """Each record that is there several times once, as far as any of them goes; and which of them each place is."""
    if len(places) < 2:
        return places, np.arange(len(places))
    keys = np.stack([places.segment, places.offset], axis=1)
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    length = np.zeros(len(first), np.int64)
    np.maximum.at(length, which, places.length)
    return replace(places.take(first), length=length), which


def _decoded(
    decode: "Callable[..., list[torch.Tensor]]", packed: "Packed", which: Numbers, cells: Sequence[Cell]
) -> list["torch.Tensor"]:
    """The wanted cell of the record that each index names; records of which the same are wanted, in one call."""
    from lamofc_codecs import inspect

    if len(packed) == len(cells) and not any(map(any, cells)):
        tensors = decode(packed, parts=[0], items=[0])
        return [tensors[record] for record in which]
    wanted: dict[int, dict[Cell, None]] = {}
    for record, cell in zip(which.tolist(), cells, strict=True):
        wanted.setdefault(record, {})[cell] = None
    alike: dict[tuple[int, ...] | None, list[int]] = {}
    for record, asked in wanted.items():
        several = any(item for item, _ in asked)
        alike.setdefault(None if several else tuple(part for _, part in asked), []).append(record)
    found: dict[tuple[int, Cell], torch.Tensor] = {}
    for parts, records in alike.items():
        some = [packed[record] for record in records]
        if parts is None:
            held = [
                (record, (item, 0))
                for record, one in zip(records, some, strict=True)
                for item in range(inspect(one).items)
            ]
            found |= zip(held, decode(some), strict=True)
        else:
            held = [(record, (0, part)) for record in records for part in parts]
            found |= zip(held, decode(some, parts=parts, items=[0]), strict=True)
    return [found[record, cell] for record, cell in zip(which.tolist(), cells, strict=True)]


def tensors(
    store: "Session", sample: str, features: Sequence[str] | None, quality: "Quality | None"
) -> "dict[str, torch.Tensor]":
    """A sample's features by name, each in its own shape and dtype; with a `quality`, only as good as that."""
    wish = layer_selection.on_read(quality)
    columns = COLUMNS if wish is None else (*COLUMNS, *layer_selection.COLUMNS)
    with log.detect_expiry(store.storage, store.head):
        rows = layer_selection.shortened(store.catalog.lookup([sample], features, columns=columns), wish)
        found = rows["feature"].to_pylist()
        missing = sorted(set(features or ()) - set(found))
        if missing or not found:
            _refuse(store, sample, missing)
        return dict(zip(found, read(store.storage, store.profiles, ReadPlan.of(rows)), strict=True))


def _refuse(store: "Session", sample: str, missing: list[str]) -> None:
    """NotFound where a sample, or a feature of it, is not there."""
    held = store.catalog.lookup([sample])["feature"].to_pylist()
    if not held:
        raise NotFound(f"there is no sample {sample!r} in {store.url}", f"lamofc ls {store.url}")
    if missing:
        raise NotFound(
            f"sample {sample!r} has no feature {missing[0]!r}; it has {', '.join(sorted(held))}",
            f"lamofc ls {store.url} {sample}",
        )
