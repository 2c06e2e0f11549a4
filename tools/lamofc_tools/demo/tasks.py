"""Three tasks, trained on original features and evaluated on decoded ones: class, segmentation, distance."""

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
"""Name, store and quality of each way to read the features."""
_FIT_SAMPLES = 512
"""Number of training digits that fit the profile and that the store holds beside the held-out ones."""
_FEATURES = tuple(f"block.{number}" for number in BLOCKS)


@dataclass(frozen=True)
class HeadTask:
    """A head with its inputs, its target and its metric."""

    column: str
    """Column of the table that shows the metric."""
    kind: str
    task: Task
    inputs: tuple[str, ...]
    target: str
    metric: str
    options: tuple[tuple[str, Any], ...] = ()

    def samples(self, store: Store, split: str, quality: Quality | None = None) -> TrainingSet:
        """Return the samples of one split of a store."""
        return TrainingSet.of(store, self.inputs, self.target, where=f"split = '{split}'", quality=quality)

    def train(self, store: Store, config: TrainingConfig) -> Head:
        """Train a head on the training samples of a store."""
        samples = self.samples(store, "train")
        torch.manual_seed(0)
        head = HEADS[self.kind](samples.widths(), self.task, **dict(self.options))
        train(head, samples, config)
        return head


_DPT_OPTIONS = (("prefix", 1), ("grid", (4, 4)), ("inner", 16))
_POOL_OPTIONS = (("pool", "mean"),)
_CLASSES = Task("classes", CLASSES)
HEAD_TASKS = (
    HeadTask("linear", "linear", _CLASSES, _FEATURES[3:], "label", "accuracy", _POOL_OPTIONS),
    HeadTask("nearest", "knn", _CLASSES, _FEATURES[3:], "label", "accuracy", _POOL_OPTIONS),
    HeadTask("ink_miou", "dpt", Task("segments", maps.SEGMENTS), _FEATURES, "segments", "miou", _DPT_OPTIONS),
    HeadTask("distance_rmse", "dpt", Task("depth"), _FEATURES, "distance", "rmse", _DPT_OPTIONS),
)


def evaluate_tasks(
    folder: Path, model: vit.DigitViT, data: Digits, epochs: int, progress: Callable[[int, int], None]
) -> Iterator[dict[str, Any]]:
    """Yield bits per element and the metric of each head, for each way to read the features."""
    features = vit.features(model, data, BLOCKS)
    for name in (ORIGINALS, STORE):
        with lamofc.open(str(folder / name), "w") as store:
            fill_store(store, features, data, "raw" if name == ORIGINALS else "klt")
    config = TrainingConfig(epochs=epochs, batch=32, lr=1e-2, decays=(1e-3,))
    heads = []
    with lamofc.open(str(folder / ORIGINALS)) as store:
        for number, task in enumerate(HEAD_TASKS):
            heads.append(task.train(store, config))
            progress(number + 1, len(HEAD_TASKS))
    for name, store_name, quality in READS:
        with lamofc.open(str(folder / store_name)) as store:
            row: dict[str, Any] = {"read": name, "store": store_name}
            for task, head in zip(HEAD_TASKS, heads, strict=True):
                samples = task.samples(store, "test", quality)
                values = evaluate(head, samples, config)
                row |= {"bpfp": samples.bpfp, task.column: values[task.metric]}
            yield row


def fill_store(store: Store, features: dict[str, Tensor], data: Digits, codec: str) -> None:
    """Ingest the blocks with a codec, as one group if it is klt, and the maps without loss."""
    quality = Quality(snr_db=20) if codec == "klt" else None
    groups = ("block.*",) if codec == "klt" else ()
    count = data.training if codec == "raw" else min(_FIT_SAMPLES, data.training)
    target_maps = {"segments": maps.segments(data), "distance": maps.distances(data)}
    for numbers in (range(count), range(data.training, len(data.labels))):
        store.ingest(data.samples(features, numbers), codec, quality, fit_samples=_FIT_SAMPLES, groups=groups)
        store.ingest(data.samples(target_maps, numbers), "raw")
