"""From rows to tensors: records fetched together, decoded together, each in its own shape again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamofc_store import layout, log, rates
from lamofc_store.errors import CorruptStore, NotFound
from lamofc_store.fetch import Numbers, Places, fetch, joined
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from lamofc_codecs import Packed, Profile, Quality
    from lamofc_store.store import Store

COLUMNS = ("segment", "offset", "length", "shape", "pattern", "profile", "part")

Form = tuple[tuple[int, ...], str, str, int]
"""Shape, pattern and profile of a feature, and which part of its record it is."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records to read: where they lie, and what their tensors look like."""

    places: Places
    forms: tuple[Form, ...]

    @classmethod
    def of(cls, rows: "pa.Table") -> "Wanted":
        """What record rows tell."""
        shapes = map(tuple, rows["shape"].to_pylist())
        forms: dict[Form, Form] = {}
        listed = zip(shapes, *(rows[name].to_pylist() for name in ("pattern", "profile", "part")), strict=True)
        return cls(Places.of(rows), tuple(forms.setdefault(form, form) for form in listed))

    def take(self, indices: Sequence[int]) -> "Wanted":
        """Some of them, in the order asked for."""
        return Wanted(self.places.take(indices), tuple(self.forms[index] for index in indices))


def together(parts: Sequence[Wanted]) -> Wanted:
    """Several lists, one after the other."""
    return Wanted(joined([part.places for part in parts]), tuple(form for part in parts for form in part.forms))


def read(storage: Storage, profiles: Mapping[str, "Profile"], wanted: Wanted) -> list["torch.Tensor"]:
    """The features that those records hold, in order; a record that several of them share is read once."""
    from lamofc_codecs import CodecError

    if not wanted.forms:
        return []
    first, which = _distinct(wanted.places)
    packed = fetch(storage, wanted.places.take(first))
    named = [profiles[identity] for identity in {form[2] for form in wanted.forms if form[2]}]
    try:
        decoded = _decoded(packed, named, which, [form[3] for form in wanted.forms])
    except CodecError as error:
        raise CorruptStore(
            f"{wanted.places.name(0)} or after it: {error}", "lamofc verify names all that is damaged"
        ) from error
    pairs = zip(decoded, wanted.forms, strict=True)
    return [layout.restore(tensor, pattern, shape) for tensor, (shape, pattern, _, _) in pairs]


def _distinct(places: Places) -> tuple[Numbers, Numbers]:
    """The first of each place that is there several times, and which of them each place is."""
    if len(places) < 2:
        return np.arange(len(places)), np.arange(len(places))
    keys = np.stack([places.segment, places.offset, places.length], axis=1)
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first, which.reshape(-1)


def _decoded(packed: "Packed", profiles: "list[Profile]", which: Numbers, parts: Sequence[int]) -> list["torch.Tensor"]:
    """The wanted part of the record that each index names; records of which the same parts are wanted, in one call."""
    from lamofc_codecs import decode

    if not any(parts) and len(packed) == len(parts):
        tensors = decode(packed, profiles, parts=[0])
        return [tensors[record] for record in which]
    wanted: dict[int, list[int]] = {}
    for record, part in zip(which.tolist(), parts, strict=True):
        if part not in wanted.setdefault(record, []):
            wanted[record].append(part)
    alike: dict[tuple[int, ...], list[int]] = {}
    for record, asked in wanted.items():
        alike.setdefault(tuple(asked), []).append(record)
    found: dict[tuple[int, int], torch.Tensor] = {}
    for some, records in alike.items():
        cells = [(record, part) for record in records for part in some]
        found |= zip(cells, decode([packed[record] for record in records], profiles, parts=some), strict=True)
    return [found[record, part] for record, part in zip(which.tolist(), parts, strict=True)]


def tensors(
    store: "Store", sample: str, features: Sequence[str] | None, quality: "Quality | None"
) -> "dict[str, torch.Tensor]":
    """A sample's features by name, each in its own shape and dtype; with a `quality`, only as good as that."""
    wish = rates.on_read(quality)
    columns = COLUMNS if wish is None else (*COLUMNS, *rates.COLUMNS)
    with log.while_kept(store.storage, store.head):
        rows = rates.shortened(store.catalog.lookup([sample], features, columns=columns), wish)
        found = rows["feature"].to_pylist()
        missing = sorted(set(features or ()) - set(found))
        if missing or not found:
            raise _absent(store, sample, missing)
        return dict(zip(found, read(store.storage, store.profiles, Wanted.of(rows)), strict=True))


def _absent(store: "Store", sample: str, missing: list[str]) -> NotFound:
    held = store.catalog.lookup([sample])["feature"].to_pylist()
    if held:
        return NotFound(
            f"sample {sample!r} has no feature {missing[0]!r}; it has {', '.join(sorted(held))}",
            f"lamofc ls {store.url} {sample}",
        )
    return NotFound(f"there is no sample {sample!r} in {store.url}", f"lamofc ls {store.url}")
