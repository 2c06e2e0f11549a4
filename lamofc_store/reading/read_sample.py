"""One sample by its id: rows from the catalog, a plan, records, tensors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lamofc_store.commits import log
from lamofc_store.errors import NotFound
from lamofc_store.reading import layer_selection
from lamofc_store.reading.block_cache import BlockCache
from lamofc_store.reading.decoding import decode_tensors
from lamofc_store.reading.fetching import fetch_plan
from lamofc_store.reading.read_plan import PLAN_COLUMNS, ReadPlan

if TYPE_CHECKING:
    import torch

    from lamofc_codecs import Profile, Quality
    from lamofc_store.session import Session
    from lamofc_store.storage import Cache, Storage


def read_sample(
    store: "Session", sample: str, features: Sequence[str] | None, quality: "Quality | None"
) -> "dict[str, torch.Tensor]":
    """Read the features of a sample, each in its own shape and dtype; all of them where none is named."""
    quality = layer_selection.read_quality(quality)
    columns = PLAN_COLUMNS if quality is None else (*PLAN_COLUMNS, *layer_selection.layer_columns(quality))
    with log.detect_expiry(store.storage, store.head):
        rows = store.catalog.lookup([sample], features, columns=columns)
        names: list[str] = rows["feature"].to_pylist()
        missing = sorted(set(features or ()) - set(names))
        if missing or not names:
            _require_features(store, sample, missing)
        plan = ReadPlan.from_rows(layer_selection.truncate_to_quality(rows, quality))
        return dict(zip(names, read_plan(store.storage, store.profiles, plan), strict=True))


def read_plan(
    storage: "Storage",
    profiles: Mapping[str, "Profile"],
    plan: ReadPlan,
    cache: "Cache | None" = None,
    blocks: BlockCache | None = None,
) -> list["torch.Tensor"]:
    """Fetch and decode the tensors of a plan; a record that several of them share is read once."""
    return decode_tensors(profiles, plan, fetch_plan(storage, plan, cache), blocks) if plan.specs else []


def _require_features(store: "Session", sample: str, missing: list[str]) -> None:
    """Raise NotFound unless the sample exists and no feature is missing."""
    names = store.catalog.lookup([sample])["feature"].to_pylist()
    if not names:
        raise NotFound(f"there is no sample {sample!r} in {store.url}", f"lamofc ls {store.url}")
    if missing:
        raise NotFound(
            f"sample {sample!r} has no feature {missing[0]!r}; it has {', '.join(sorted(names))}",
            f"lamofc ls {store.url} {sample}",
        )
