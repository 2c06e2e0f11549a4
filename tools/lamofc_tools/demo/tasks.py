"""Three tasks, learned on original features and judged on what a store gives back: which digit, whose ink, how far."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lamofc_store as lamofc
from lamofc_store import Quality, Store
from lamofc_tools.demo import maps, vit
from lamofc_tools.demo.digits import CLASSES, Digits
from lamofc_tools.heads import HEADS, Head, Task, TrainingConfig, TrainingSet, evaluate, train

BLOCKS = (1, 2, 3, 4)
STORE, ORIGINALS = "four-blocks-klt-20dB", "four-blocks-raw"
READS: tuple[tuple[str, str, Quality | None], ...] = (
    ("original", ORIGINALS, None),
    ("klt, 20 dB", STORE, None),
    ("read at 10 dB", STORE, Quality(snr_db=10)),
    ("read at 5 dB", STORE, Quality(snr_db=5)),
)
_FITTED = 512
"""Training digits that a profile is fitted on, and that its store has next to those held out."""
_LAYERS = tuple(f"block.{number}" for number in BLOCKS)


@dataclass(frozen=True)
class Question:
    """A head, what it sees and what it tells."""

    column: str
    kind: str
    task: Task
    inputs: tuple[str, ...]
    target: str
    metric: str
    options: tuple[tuple[str, Any], ...] = ()

    def lesson(self, store: Store, split: str, quality: Quality | None = None) -> TrainingSet:
        """What it is trained on, or judged on."""
        return TrainingSet.of(store, self.inputs, self.target, where=f"split = '{split}'", quality=quality)

    def learned(self, store: Store, course: TrainingConfig) -> Head:
        """A head for it."""
        lesson = self.lesson(store, "train")
        torch.manual_seed(0)
        head = HEADS[self.kind](lesson.widths(), self.task, **dict(self.options))
        train(head, lesson, course)
        return head


_DPT = (("prefix", 1), ("grid", (4, 4)), ("inner", 16))
QUESTIONS = (
    Question("linear", "linear", Task("classes", CLASSES), _LAYERS[3:], "label", "accuracy", (("pool", "mean"),)),
    Question("nearest", "knn", Task("classes", CLASSES), _LAYERS[3:], "label", "accuracy", (("pool", "mean"),)),
    Question("ink_miou", "dpt", Task("segments", maps.SEGMENTS), _LAYERS, "segments", "miou", _DPT),
    Question("distance_rmse", "dpt", Task("depth"), _LAYERS, "distance", "rmse", _DPT),
)


def answers(
    folder: Path, model: vit.DigitViT, data: Digits, epochs: int, tell: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    """For each way to read: bits of an element, and how well each head does on it."""
    features = vit.features(model, data, BLOCKS)
    for name in (ORIGINALS, STORE):
        with lamofc.open(str(folder / name), "w") as store:
            fill(store, features, data, "raw" if name == ORIGINALS else "klt")
    course = TrainingConfig(epochs=epochs, batch=32, lr=1e-2, decays=(1e-3,))
    heads = []
    with lamofc.open(str(folder / ORIGINALS)) as store:
        for number, question in enumerate(QUESTIONS):
            heads.append(question.learned(store, course))
            tell(number + 1, len(QUESTIONS))
    for name, place, quality in READS:
        with lamofc.open(str(folder / place)) as store:
            found: dict[str, Any] = {"read": name, "store": place}
            for question, head in zip(QUESTIONS, heads, strict=True):
                lesson = question.lesson(store, "test", quality)
                values = evaluate(head, lesson, course)
                found |= {"bpfp": lesson.bpfp, question.column: values[question.metric]}
            yield found


def fill(store: Store, features: dict[str, Tensor], data: Digits, codec: str) -> None:
    """Blocks by a codec, coded together where it can; maps next to them as they are."""
    quality = Quality(snr_db=20) if codec == "klt" else None
    groups = ("block.*",) if codec == "klt" else ()
    seen = data.training if codec == "raw" else min(_FITTED, data.training)
    pictures = {"segments": maps.segments(data), "distance": maps.distances(data)}
    for numbers in (range(seen), range(data.training, len(data.labels))):
        store.ingest(data.samples(features, numbers), codec, quality, fit_samples=_FITTED, groups=groups)
        store.ingest(data.samples(pictures, numbers), "raw")
