"""From rows to tensors: records fetched together, decoded together, each in its own shape again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamofc_store import layout, log, rates
from lamofc_store.errors import CorruptStore, NotFound
from lamofc_store.fetch import Places, fetch, joined
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from lamofc_codecs import Profile, Quality
    from lamofc_store.store import Store

COLUMNS = ("segment", "offset", "length", "shape", "pattern", "profile")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records to read: where they lie, and what their tensors look like."""

    places: Places
    forms: tuple[tuple[tuple[int, ...], str, str], ...]
    """Shape, pattern and profile of each."""

    @classmethod
    def of(cls, rows: "pa.Table") -> "Wanted":
        """What record rows tell."""
        shapes = map(tuple, rows["shape"].to_pylist())
        forms: dict[tuple[tuple[int, ...], str, str], tuple[tuple[int, ...], str, str]] = {}
        listed = zip(shapes, rows["pattern"].to_pylist(), rows["profile"].to_pylist(), strict=True)
        return cls(Places.of(rows), tuple(forms.setdefault(form, form) for form in listed))

    def take(self, indices: Sequence[int]) -> "Wanted":
        """Some of them, in the order asked for."""
        return Wanted(self.places.take(indices), tuple(self.forms[index] for index in indices))


def together(parts: Sequence[Wanted]) -> Wanted:
    """Several lists, one after the other."""
    return Wanted(joined([part.places for part in parts]), tuple(form for part in parts for form in part.forms))


def read(storage: Storage, profiles: Mapping[str, "Profile"], wanted: Wanted) -> list["torch.Tensor"]:
    """The features that those records hold, in order."""
    from lamofc_codecs import CodecError, decode

    if not wanted.forms:
        return []
    packed = fetch(storage, wanted.places)
    named = {profile for _, _, profile in wanted.forms if profile}
    try:
        tensors = decode(packed, [profiles[identity] for identity in named])
    except CodecError as error:
        raise CorruptStore(
            f"{wanted.places.name(0)} or after it: {error}", "lamofc verify names all that is damaged"
        ) from error
    pairs = zip(tensors, wanted.forms, strict=True)
    return [layout.restore(tensor, pattern, shape) for tensor, (shape, pattern, _) in pairs]


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
