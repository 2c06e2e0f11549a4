"""Accuracy against bits by codec: heads trained on originals, evaluated on features decoded by three codecs.

The networks of `hyperprior` are trained here on the training digits: small networks, for minutes instead of days, on
planes of 17 x 64. The result says nothing about the papers' weights.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Sizes
from lamofc_store import Quality, Store
from lamofc_tools.demo import maps
from lamofc_tools.demo.digits import CLASSES, Digits
from lamofc_tools.demo.tasks import HeadTask
from lamofc_tools.heads import HeadEvaluation, RatePoint, Task, TrainingConfig, evaluate_at_rates
from lamofc_tools.plots import draw_metrics

BLOCK = "block.4"
_KLT_READS = tuple(Quality(snr_db=decibels) for decibels in (15, 10, 7, 5, 3, 1))
"""Qualities at which the one store of klt is read, beside reading everything."""
_UNIFORM_DB = (20.0, 15.0, 10.0, 5.0, 3.0, 1.0)
_LAMBDAS = (0.0002, 0.002, 0.02)
_SIZES = Sizes("hyperprior", 32, 48)
_CROP = (64, 64)
_FIT_SAMPLES = 512
_TRAINING = TrainingConfig(epochs=5, batch=32, lr=3e-2, decays=(1e-3,))
_PATCHES = (("prefix", 1),)
"""Option of a head that leaves out the class token."""
_HEAD_TASKS = (
    HeadTask("accuracy", "linear", Task("classes", CLASSES), (BLOCK,), "label", "accuracy", _PATCHES),
    HeadTask("miou", "segmentation", Task("segments", maps.SEGMENTS), (BLOCK,), "segments", "miou", _PATCHES),
)
Progress = Callable[[int, int], None]
"""Called with the work done and its total."""


@dataclass(frozen=True)
class Picture:
    """The file of the plot, and the length of the training."""

    file: Path
    steps: int = 1500
    """Training steps of each network; 0 leaves `hyperprior` out."""


def compare_codecs(
    folder: Path, features: Tensor, data: Digits, picture: Picture, progress: Progress
) -> Iterator[dict[str, Any]]:
    """Yield a row for each store at each rate, the originals first, and then draw the plot."""
    tokens = {BLOCK: features}
    stores = {"raw": fill_store(folder / "bits-raw", tokens, data, "raw")}
    heads = [train_head(task, stores["raw"]) for task in _HEAD_TASKS]
    stores["klt"] = fill_store(folder / "bits-klt", tokens, data, "klt", Quality(snr_db=20))
    for decibels in _UNIFORM_DB:
        quality = Quality(snr_db=decibels)
        stores[f"uniform {decibels:g} dB"] = fill_store(
            folder / f"bits-uniform-{decibels:g}", tokens, data, "uniform", quality
        )
    for number, lmbda in enumerate(_LAMBDAS if picture.steps else ()):
        weights = train_networks(features[: data.training], lmbda, picture.steps)
        progress(number + 1, len(_LAMBDAS))
        name = f"bits-hyperprior-{lmbda:g}"
        stores[f"hyperprior {lmbda:g}"] = fill_store(folder / name, tokens, data, "hyperprior", weights=weights)
    rows = []
    for name, path in stores.items():
        with lamofc.open(str(path)) as store:
            reads = _KLT_READS if name == "klt" else ()
            for points in zip(*(evaluate_head(head, {name: store}, reads) for head in heads), strict=True):
                rows.append(_row(points))
                yield rows[-1]
    draw_metrics(rows, {"accuracy": "accuracy, class of the digit", "miou": "mIoU, segments of ink"}, picture.file)


def train_head(task: HeadTask, originals: Path) -> HeadEvaluation:
    """Train a head on originals; return it with the conditions of its evaluation."""
    with lamofc.open(str(originals)) as store:
        head = task.train(store, _TRAINING)
    description = {"inputs": list(task.inputs), "target": task.target, "names": []}
    return HeadEvaluation(head, description, "split = 'test'", _TRAINING)


def evaluate_head(head: HeadEvaluation, store: dict[str, Store], reads: Sequence[Quality]) -> list[RatePoint]:
    """Evaluate a head on one store at its rates."""
    return evaluate_at_rates(head, store, reads, ["original"], lambda done, total: None)


def train_networks(features: Tensor, lmbda: float, steps: int) -> lamofc.Profile:
    """Train small networks for one lambda; return their weights, which are deterministic."""
    from lamofc_tools.codec_training import CodecTrainingConfig, Planes, train

    planes = Planes()
    planes.add(list(features))
    config = CodecTrainingConfig(
        sizes=_SIZES, lmbda=lmbda, crop=_CROP, batch=16, steps=steps, every=min(250, steps), lr=1e-3
    )
    return train(config, planes).weights()


def fill_store(
    path: Path, features: dict[str, Tensor], data: Digits, codec: str, quality: Quality | None = None, **options: Any
) -> Path:
    """Create a store of all digits, with a profile fitted on training digits."""
    with lamofc.open(str(path), "w") as store:
        for numbers in (range(data.training), range(data.training, len(data.labels))):
            samples = data.samples(features, numbers)
            store.ingest(samples, codec, quality, fit_samples=_FIT_SAMPLES, codec_options=options)
            store.ingest(data.samples({"segments": maps.segments(data)}, numbers), "raw")
    return path


def _row(points: Sequence[RatePoint]) -> dict[str, Any]:
    codec, _, setting = points[0].store.partition(" ")
    values = [point.values[task.metric] for point, task in zip(points, _HEAD_TASKS, strict=True)]
    return {
        "curve": codec,
        "setting": setting or points[0].rate,
        "bpfp": points[0].bpfp,
        **dict(zip((task.column for task in _HEAD_TASKS), values, strict=True)),
    }
