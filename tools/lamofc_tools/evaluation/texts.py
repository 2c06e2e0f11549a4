"""The texts whose features a store has, and the extraction that the features are from."""

from __future__ import annotations

import json
from typing import Any

from lamofc_store import Store
from lamofc_store.errors import BadArgument, Hint, NotFound
from lamofc_tools.consumer import Split
from lamofc_tools.models import RUN_KIND, BlockSource, ModelInput, find_inputs

_COMPARED_KEYS = ("processor", "weights")
"""Keys of an extraction that must be those of the model; weights of another dtype have other digests."""


def find_texts(store: Store, split: Split, location: str | None, where: str | None) -> list[ModelInput]:
    """Find the texts to evaluate, in a folder or a file; by default in that from which the features were extracted.

    With `where`, texts are left out whose samples in the store do not meet the condition. The store must have the
    hidden state at the split, and of this model, as far as its extraction is recorded.
    """
    _require_split(store, split)
    extraction = _extraction(store, split.output)
    _require_model(store, split, extraction)
    recorded = extraction.get("inputs")
    if location is None and recorded is None:
        raise BadArgument(
            f"{store.url} does not say from which texts its features were extracted", Hint("give [texts] 'FILE.jsonl'")
        )
    texts = find_inputs(str(location or recorded), "texts")
    samples = None if where is None else set(store.find(where))
    chosen = [text for text in texts if samples is None or text.id in samples]
    if not chosen:
        raise BadArgument(f"none of {len(texts)} texts is of a sample with {where}", Hint("widen [where]"))
    return chosen


def _require_split(store: Store, split: Split) -> None:
    """Raise NotFound unless the store has the hidden state at the split."""
    if split.output in store.features:
        return
    there = [
        str(block) for block in range(len(split.loaded.blocks)) if split.loaded.output_name(block) in store.features
    ]
    cure = Hint(f"give [block] {there[0]}") if there else f"extract it into the store: lamofc info {store.url}"
    has = f"the outputs of blocks {', '.join(there)}" if there else "no output of any block"
    raise NotFound(f"{store.url} has no {split.output!r}; it has {has}", cure)


def _extraction(store: Store, feature: str) -> dict[str, Any]:
    """Return the configuration of the newest recorded extraction of a feature; an empty one if none is recorded."""
    rows = store.sql("SELECT config FROM runs WHERE kind = ? ORDER BY started DESC, run DESC", [RUN_KIND]).fetchall()
    configs: list[dict[str, Any]] = [json.loads(text) for (text,) in rows]
    return next((config for config in configs if feature in config.get("features", ())), {})


def _require_model(store: Store, split: Split, extraction: dict[str, Any]) -> None:
    """Raise BadArgument if the features were extracted from another model, as their extraction records it."""
    own = BlockSource([], split.loaded, (split.block,)).run_config()
    keys = _COMPARED_KEYS if extraction.get("dtype") == own["dtype"] else _COMPARED_KEYS[:1]
    different = next((key for key in keys if key in extraction and extraction[key] != own[key]), None)
    if different is not None:
        raise BadArgument(
            f"{split.output!r} in {store.url} is of {extraction.get('model')}: its {different} is"
            f" {extraction[different]}, that of {split.loaded.name} is {own[different]}",
            "give the model that the features were extracted from",
        )
