"""The inputs whose features a store has, and the extraction that the features are from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from lamofc_store import Store
from lamofc_store.errors import BadArgument, Hint, NotFound
from lamofc_tools.consumer import ANSWER
from lamofc_tools.models import RUN_KIND, BlockSource, InputKind, ModelInput, ModelSource, find_inputs

_COMPARED_KEYS = ("processor", "weights")
"""Keys of an extraction that must be those of the model; weights of another dtype have other digests."""


def find_stored_inputs(
    store: Store, source: ModelSource, kind: InputKind, location: str | None, where: str | None
) -> list[ModelInput]:
    """Find the inputs to evaluate, in a folder or a file; by default in that from which the features were extracted.

    With `where`, inputs are left out whose samples in the store do not meet the condition. The store must have the
    first feature of the source, and of its model, as far as the extraction is recorded.
    """
    feature = source.features[0]
    _require_feature(store, source, feature)
    extraction = recorded_extraction(store, feature)
    _require_model(store, source, extraction)
    recorded = extraction.get("inputs")
    if location is None and recorded is None:
        cure = Hint("give [data] 'FILE.jsonl'" if kind == "texts" else f"give [data] with a folder of {kind}")
        raise BadArgument(f"{store.url} does not say from which {kind} its features were extracted", cure)
    inputs = find_inputs(str(location or recorded), kind)
    samples = None if where is None else set(store.find(where))
    chosen = [item for item in inputs if samples is None or item.id in samples]
    if not chosen:
        raise BadArgument(f"none of {len(inputs)} {kind} is of a sample with {where}", Hint("widen [where]"))
    return chosen


def recorded_extraction(store: Store, feature: str) -> dict[str, Any]:
    """Return the configuration of the newest recorded extraction of a feature; an empty one if none is recorded."""
    rows = store.sql("SELECT config FROM runs WHERE kind = ? ORDER BY started DESC, run DESC", [RUN_KIND]).fetchall()
    configs: list[dict[str, Any]] = [json.loads(text) for (text,) in rows]
    return next((config for config in configs if feature in config.get("features", ())), {})


def inputs_digest(items: Sequence[ModelInput]) -> str:
    """Return a digest of all that an evaluation reads of its inputs, the content of images and sounds included."""
    digest = hashlib.sha256()
    for item in items:
        row = [item.id, item.text, item.choices, item.attributes.get(ANSWER)]
        digest.update(json.dumps(row).encode())
        if item.media_path is not None:
            digest.update(item.media_path.read_bytes())
    return digest.hexdigest()[:16]


def _require_feature(store: Store, source: ModelSource, feature: str) -> None:
    """Raise NotFound unless the store has a feature of the source."""
    if feature in store.features:
        return
    there = _blocks_of(store, source) if isinstance(source, BlockSource) else []
    cure = Hint(f"give [block] {there[0]}") if there else f"extract it into the store: lamofc info {store.url}"
    others = f"; it has the outputs of blocks {', '.join(there)}" if there else ""
    raise NotFound(f"{store.url} has no {feature!r}{others}", cure)


def _blocks_of(store: Store, source: BlockSource) -> list[str]:
    """Return the numbers of the blocks whose output the store has."""
    loaded = source.loaded
    return [str(block) for block in range(len(loaded.blocks)) if loaded.output_name(block) in store.features]


def _require_model(store: Store, source: ModelSource, extraction: dict[str, Any]) -> None:
    """Raise BadArgument if the features were extracted from another model, as their extraction records it."""
    own = source.run_config()
    keys = _COMPARED_KEYS if extraction.get("dtype") == own.get("dtype") else _COMPARED_KEYS[:1]
    different = next((key for key in keys if key in extraction and extraction[key] != own[key]), None)
    if different is not None:
        raise BadArgument(
            f"{source.features[0]!r} in {store.url} is of {extraction.get('model')}: the digest of its {different} is"
            f" {extraction[different]}, and {own[different]} for {own['model']}",
            "give the model that the features were extracted from",
        )
