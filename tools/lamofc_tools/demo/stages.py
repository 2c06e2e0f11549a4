"""The steps of the tour, each a document; nothing in here prints."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import lamofc_store as lamofc
from lamofc_store import Quality, Store
from lamofc_tools.demo import digits, tasks, vit
from lamofc_tools.demo.digits import CLASSES, Digits
from lamofc_tools.demo.picture import Picture, compared
from lamofc_tools.heads import fit_linear

SEED = 0
BLOCKS = (2, 4)
QUERY = "SELECT feature, bpfp, snr_db, mse, max_error, stored_bytes FROM features ORDER BY 1"
_BATCH = 256


@dataclass(frozen=True)
class Settings:
    """How long the tour is; the defaults take about a minute on two cores."""

    epochs: int = 20
    """Passes over the training digits."""
    count: int | None = None
    """Digits, all when None."""
    head_epochs: int = 3
    """Passes in the training of a DPT head; none leaves out the three tasks."""
    picture: Picture | None = None
    """What a bit buys by codec, networks trained for it; minutes more."""
    codings: tuple[tuple[str, float | None], ...] = (
        ("raw", None),
        ("lloydmax", None),
        ("uniform", 10.0),
        ("klt", 20.0),
        ("klt", 10.0),
    )
    """Codec and decibels of each store."""


@dataclass(frozen=True)
class Step:
    """Something that was done, and what came of it."""

    name: str
    """Key of the document under --json."""
    document: Any
    seconds: float = field(compare=False)


Told = Callable[[int, int], None]
Features = dict[str, Tensor]


def tour(folder: Path, settings: Settings, tell: Told) -> Iterator[Step]:
    """Train, extract, store, ask, and compare; the stores are left in the folder."""
    started = perf_counter()
    data = digits.load(SEED, settings.count)
    model = vit.train(data, settings.epochs, SEED, tell)
    yield Step("model", _described(model, data, settings), perf_counter() - started)

    started = perf_counter()
    features = vit.features(model, data, BLOCKS)
    rates, scores = [], [_scores("float32", features, data)]
    for codec, decibels in settings.codings:
        place = folder / name_of(codec, decibels)
        with lamofc.open(str(place), "w") as store:
            fill(store, features, data, codec, decibels)
            rates += [{"store": place.name, **row} for row in _asked(store)]
            scores.append({**_scores(place.name, read(store), data), "bytes": _on_disk(place)})
    yield Step("rates", {"query": QUERY, "rows": rates}, perf_counter() - started)

    raw = sum(tensor.nbytes for tensor in features.values())
    scores[0]["bytes"] = raw
    for score in scores:
        score |= {"of_float32": score["bytes"] / raw, "of_float16": score["bytes"] / (raw / 2)}
    yield Step("accuracy", {"held_out": len(data.labels) - data.training, "rows": scores}, 0.0)

    started = perf_counter()
    rows = list(tasks.answers(folder, model, data, settings.head_epochs, tell)) if settings.head_epochs else []
    yield Step("tasks", {"held_out": len(data.labels) - data.training, "rows": rows}, perf_counter() - started)

    if settings.picture is not None:
        started = perf_counter()
        rows = list(compared(folder, features["block.4"], data, settings.picture, tell))
        document = {"rows": rows, "png": str(settings.picture.file), "steps": settings.picture.steps}
        yield Step("picture", document, perf_counter() - started)


def name_of(codec: str, decibels: float | None) -> str:
    """A store's folder: `uniform-20dB`."""
    return codec if decibels is None else f"{codec}-{decibels:g}dB"


def fill(store: Store, features: Features, data: Digits, codec: str, decibels: float | None) -> None:
    """Ingest the training digits, whose first 512 the profile is fitted on, and then those held out."""
    quality = None if decibels is None else Quality(snr_db=decibels)
    for numbers in (range(data.training), range(data.training, len(data.labels))):
        store.ingest(data.samples(features, numbers), codec, quality, fit_samples=512)


def read(store: Store) -> Features:
    """Every feature, decoded from the store by its dataset; samples in the order of the digits."""
    names = [f"block.{number}" for number in BLOCKS]
    loaded = DataLoader(store.dataset(names), batch_size=_BATCH, collate_fn=_stacked)
    batches = list(loaded)
    return {name: torch.cat([batch[name] for batch in batches]) for name in names}


def _stacked(examples: Sequence[dict[str, Any]]) -> Features:
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0] if name != "sample"}


def _asked(store: Store) -> list[dict[str, Any]]:
    relation = store.sql(QUERY)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def _scores(name: str, features: Features, data: Digits) -> dict[str, Any]:
    """Accuracy on held-out digits of a linear head on each feature: the class token beside the mean of the others."""
    found: dict[str, Any] = {"store": name}
    for feature, tokens in features.items():
        rows = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1)
        head = fit_linear(rows[: data.training], data.labels[: data.training], classes=CLASSES)
        found[feature] = head.accuracy(rows[data.training :], data.labels[data.training :])
    return found


def _on_disk(place: Path) -> int:
    """Bytes of every file of a store: records, rows, profiles, commits, Zarr metadata."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _described(model: vit.DigitViT, data: Digits, settings: Settings) -> dict[str, Any]:
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": settings.epochs,
        "training": data.training,
        "held_out": len(data.labels) - data.training,
        "accuracy": vit.accuracy(model, data),
        "tokens": vit.TOKENS,
        "channels": vit.CHANNELS,
        "seed": SEED,
    }
