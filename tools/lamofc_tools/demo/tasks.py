"""Three tasks, learned from what a store gives back: which digit, whose ink, how far from ink."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lamofc_store as lamofc
from lamofc_store import Quality, Sample, Store
from lamofc_tools.demo import maps, vit
from lamofc_tools.demo.digits import CLASSES, Digits
from lamofc_tools.heads import KINDS, Course, Lesson, Task, evaluate, train

BLOCKS = (1, 2, 3, 4)
STORE, ORIGINALS = "four-blocks-klt-20dB", "four-blocks-raw"
READS: tuple[tuple[str, str, Quality | None], ...] = (
    ("original", ORIGINALS, None),
    ("klt, 20 dB", STORE, None),
    ("read at 10 dB", STORE, Quality(snr_db=10)),
    ("read at 5 dB", STORE, Quality(snr_db=5)),
)
_LAYERS = tuple(f"block.{number}" for number in BLOCKS)


@dataclass(frozen=True)
class _Question:
    """A head, what it sees and what it tells."""

    column: str
    kind: str
    task: Task
    inputs: tuple[str, ...]
    target: str
    metric: str
    options: tuple[tuple[str, Any], ...] = ()


_DPT = (("prefix", 1), ("grid", (4, 4)), ("inner", 16))
QUESTIONS = (
    _Question("linear", "linear", Task("classes", CLASSES), _LAYERS[3:], "label", "accuracy", (("pool", "mean"),)),
    _Question("nearest", "knn", Task("classes", CLASSES), _LAYERS[3:], "label", "accuracy", (("pool", "mean"),)),
    _Question("ink_miou", "dpt", Task("segments", maps.SEGMENTS), _LAYERS, "segments", "miou", _DPT),
    _Question("distance_rmse", "dpt", Task("depth"), _LAYERS, "distance", "rmse", _DPT),
)


def answers(
    folder: Path, model: vit.DigitViT, data: Digits, epochs: int, tell: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    """For each way to read: bits of an element, and how well each head does that was trained on it."""
    features = vit.features(model, data, BLOCKS)
    for name in (ORIGINALS, STORE):
        with lamofc.open(str(folder / name), "w") as store:
            fill(store, features, data, "raw" if name == ORIGINALS else "klt")
    for number, (name, place, quality) in enumerate(READS):
        with lamofc.open(str(folder / place)) as store:
            yield {"read": name, "store": place, **_row(store, quality, epochs)}
        tell(number + 1, len(READS))


def fill(store: Store, features: dict[str, Tensor], data: Digits, codec: str) -> None:
    """Blocks by a codec, coded together where it can; maps next to them as they are."""
    quality = Quality(snr_db=20) if codec == "klt" else None
    groups = ("block.*",) if codec == "klt" else ()
    pictures = {"segments": maps.segments(data), "distance": maps.distances(data)}
    for numbers in (range(data.training), range(data.training, len(data.labels))):
        store.ingest(_samples(features, data, numbers), codec, quality, fit_samples=512, groups=groups)
        store.ingest(_samples(pictures, data, numbers), "raw")


def _samples(features: dict[str, Tensor], data: Digits, numbers: range) -> list[Sample]:
    return [
        Sample(
            f"digit_{number:04d}",
            {name: tensor[number] for name, tensor in features.items()},
            {"label": int(data.labels[number]), "split": data.split[number]},
        )
        for number in numbers
    ]


def _row(store: Store, quality: Quality | None, epochs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for question in QUESTIONS:
        seen, unseen = (
            Lesson.of(store, question.inputs, question.target, where=f"split = '{split}'", quality=quality)
            for split in ("train", "test")
        )
        torch.manual_seed(0)
        head = KINDS[question.kind](seen.widths(), question.task, **dict(question.options))
        course = Course(epochs=epochs, batch=32, lr=1e-2, decays=(1e-3,))
        train(head, seen, course)
        found |= {"bpfp": seen.rate, question.column: evaluate(head, unseen, course)[question.metric]}
    return found
