"""The steps of the tour, each a document; nothing here prints."""

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
from lamofc_tools.demo.picture import Picture, compare_codecs
from lamofc_tools.heads import fit_linear

SEED = 0
BLOCKS = (2, 4)
QUERY = "SELECT feature, bpfp, snr_db, mse, max_error, stored_bytes FROM features ORDER BY 1"
_BATCH = 256
_FIT_SAMPLES = 512
"""Training digits on which each profile is fitted."""


@dataclass(frozen=True)
class Settings:
    """The length of the tour; with the defaults it takes about a minute on two cores."""

    epochs: int = 20
    """Passes over the training digits in the training of the model."""
    count: int | None = None
    """Number of digits; None for all."""
    head_epochs: int = 3
    """Passes in the training of a DPT head; 0 leaves out the three tasks."""
    picture: Picture | None = None
    """Comparison of codecs at many rates, with networks trained for it, which takes minutes more."""
    codings: tuple[tuple[str, float | None], ...] = (
        ("raw", None),
        ("lloydmax", None),
        ("uniform", 10.0),
        ("klt", 20.0),
        ("klt", 10.0),
    )
    """Codec and signal-to-noise ratio in dB of each store."""


@dataclass(frozen=True)
class Step:
    """A step of the tour with its results."""

    name: str
    """Key of the document under --json."""
    document: Any
    seconds: float = field(compare=False)


Progress = Callable[[int, int], None]
"""Called with the work done and its total."""
Features = dict[str, Tensor]


def tour(folder: Path, settings: Settings, progress: Progress) -> Iterator[Step]:
    """Train, extract, store, query and compare; the stores stay in the folder."""
    started = perf_counter()
    data = digits.load(SEED, settings.count)
    model = vit.train(data, settings.epochs, SEED, progress)
    yield Step("model", _describe_model(model, data, settings), perf_counter() - started)

    started = perf_counter()
    features = vit.features(model, data, BLOCKS)
    rates, scores = [], [_scores("float32", features, data)]
    for codec, decibels in settings.codings:
        path = folder / store_name(codec, decibels)
        with lamofc.open(str(path), "w") as store:
            fill_store(store, features, data, codec, decibels)
            rates += [{"store": path.name, **row} for row in _query_rates(store)]
            scores.append({**_scores(path.name, read_features(store), data), "bytes": _bytes_on_disk(path)})
    yield Step("rates", {"query": QUERY, "rows": rates}, perf_counter() - started)

    raw = sum(tensor.nbytes for tensor in features.values())
    scores[0]["bytes"] = raw
    for score in scores:
        score |= {"of_float32": score["bytes"] / raw, "of_float16": score["bytes"] / (raw / 2)}
    yield Step("accuracy", {"held_out": len(data.labels) - data.training, "rows": scores}, 0.0)

    started = perf_counter()
    rows = (
        list(tasks.evaluate_tasks(folder, model, data, settings.head_epochs, progress)) if settings.head_epochs else []
    )
    yield Step("tasks", {"held_out": len(data.labels) - data.training, "rows": rows}, perf_counter() - started)

    if settings.picture is not None:
        started = perf_counter()
        rows = list(compare_codecs(folder, features["block.4"], data, settings.picture, progress))
        document = {"rows": rows, "png": str(settings.picture.file), "steps": settings.picture.steps}
        yield Step("picture", document, perf_counter() - started)


def store_name(codec: str, decibels: float | None) -> str:
    """Name the folder of a store: `uniform-20dB`."""
    return codec if decibels is None else f"{codec}-{decibels:g}dB"


def fill_store(store: Store, features: Features, data: Digits, codec: str, decibels: float | None) -> None:
    """Ingest the training digits, with a profile fitted on the first 512, and then the held-out digits."""
    quality = None if decibels is None else Quality(snr_db=decibels)
    for numbers in (range(data.training), range(data.training, len(data.labels))):
        store.ingest(data.samples(features, numbers), codec, quality, fit_samples=_FIT_SAMPLES)


def read_features(store: Store) -> Features:
    """Decode every feature through the dataset of the store; samples are in the order of the digits."""
    names = [f"block.{number}" for number in BLOCKS]
    batches = list(DataLoader(store.dataset(names), batch_size=_BATCH, collate_fn=_stack))
    return {name: torch.cat([batch[name] for batch in batches]) for name in names}


def _stack(examples: Sequence[dict[str, Any]]) -> Features:
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0] if name != "sample"}


def _query_rates(store: Store) -> list[dict[str, Any]]:
    relation = store.sql(QUERY)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def _scores(name: str, features: Features, data: Digits) -> dict[str, Any]:
    """Measure the accuracy of a linear head on each feature: the class token beside the mean of the others."""
    scores: dict[str, Any] = {"store": name}
    for feature, tokens in features.items():
        rows = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1)
        head = fit_linear(rows[: data.training], data.labels[: data.training], classes=CLASSES)
        scores[feature] = head.accuracy(rows[data.training :], data.labels[data.training :])
    return scores


def _bytes_on_disk(folder: Path) -> int:
    """Add up the bytes of every file of a store: records, rows, profiles, commits, Zarr metadata."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _describe_model(model: vit.DigitViT, data: Digits, settings: Settings) -> dict[str, Any]:
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
