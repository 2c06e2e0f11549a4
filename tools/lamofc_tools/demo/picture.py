"""What a bit buys by codec: a head that learned from originals, judged on those of `klt`, `uniform`, `hyperprior`.

The networks of `hyperprior` are trained here, on the digits that are for training: a small model, for minutes and not
for days, on planes of 17 x 64; it is shown what that gives, and not what the papers' weights would.
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
from lamofc_tools.demo.tasks import Question
from lamofc_tools.heads import HeadEvaluation, RatePoint, Task, TrainingConfig, evaluate_at_rates
from lamofc_tools.plots import draw_curves

BLOCK = "block.4"
_READS = tuple(Quality(snr_db=decibels) for decibels in (15, 10, 7, 5, 3, 1))
"""At which the one store of klt is read, besides whole."""
_UNIFORM = (20.0, 15.0, 10.0, 5.0, 3.0, 1.0)
_LAMBDAS = (0.0002, 0.002, 0.02)
_SIZES = Sizes("hyperprior", 32, 48)
_CROP = (64, 64)

_COURSE = TrainingConfig(epochs=5, batch=32, lr=3e-2, decays=(1e-3,))


_PATCHES = (("prefix", 1),)
_QUESTIONS = (
    Question("accuracy", "linear", Task("classes", CLASSES), (BLOCK,), "label", "accuracy", _PATCHES),
    Question("miou", "segmentation", Task("segments", maps.SEGMENTS), (BLOCK,), "segments", "miou", _PATCHES),
)
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Picture:
    """How long it takes, and where it is drawn."""

    file: Path
    steps: int = 1500
    """Of the training of each network; none leaves `hyperprior` out."""


def compared(folder: Path, features: Tensor, data: Digits, picture: Picture, tell: Tell) -> Iterator[dict[str, Any]]:
    """A row for each store at each rate, the originals first; the picture is drawn when all are there."""
    tokens = {BLOCK: features}
    places = {"raw": fill(folder / "bits-raw", tokens, data, "raw")}
    heads = [judging(question, places["raw"]) for question in _QUESTIONS]
    places["klt"] = fill(folder / "bits-klt", tokens, data, "klt", Quality(snr_db=20))
    for decibels in _UNIFORM:
        quality = Quality(snr_db=decibels)
        places[f"uniform {decibels:g} dB"] = fill(
            folder / f"bits-uniform-{decibels:g}", tokens, data, "uniform", quality
        )
    for number, lmbda in enumerate(_LAMBDAS if picture.steps else ()):
        weights = trained(features[: data.training], lmbda, picture.steps)
        tell(number + 1, len(_LAMBDAS))
        name = f"bits-hyperprior-{lmbda:g}"
        places[f"hyperprior {lmbda:g}"] = fill(folder / name, tokens, data, "hyperprior", weights=weights)
    rows = []
    for name, place in places.items():
        with lamofc.open(str(place)) as store:
            reads = _READS if name == "klt" else ()
            for several in zip(*(judged(head, {name: store}, reads) for head in heads), strict=True):
                rows.append(_row(several))
                yield rows[-1]
    draw_curves(rows, {"accuracy": "accuracy, which digit", "miou": "mIoU, whose ink"}, picture.file)


def judging(question: Question, originals: Path) -> HeadEvaluation:
    """A head that learned from originals, with what it is judged on."""
    with lamofc.open(str(originals)) as store:
        head = question.learned(store, _COURSE)
    told = {"inputs": list(question.inputs), "target": question.target, "names": []}
    return HeadEvaluation(head, told, "split = 'test'", _COURSE)


def judged(head: HeadEvaluation, store: dict[str, Store], reads: Sequence[Quality]) -> list[RatePoint]:
    """One store at its rates."""
    return evaluate_at_rates(head, store, reads, ["original"], lambda done, total: None)


def trained(features: Tensor, lmbda: float, steps: int) -> lamofc.Profile:
    """Weights of a small model for one lambda, the same every time."""
    from lamofc_tools.codec_training import CodecTrainingConfig, Planes
    from lamofc_tools.codec_training import train as run

    planes = Planes()
    planes.add(list(features))
    config = CodecTrainingConfig(
        sizes=_SIZES, lmbda=lmbda, crop=_CROP, batch=16, steps=steps, every=min(250, steps), lr=1e-3
    )
    return run(config, planes).weights()


def fill(
    place: Path, features: dict[str, Tensor], data: Digits, codec: str, quality: Quality | None = None, **options: Any
) -> Path:
    """A store of the digits that a profile is fitted on, and of those held out."""
    with lamofc.open(str(place), "w") as store:
        for numbers in (range(data.training), range(data.training, len(data.labels))):
            store.ingest(data.samples(features, numbers), codec, quality, fit_samples=512, codec_options=options)
            store.ingest(data.samples({"segments": maps.segments(data)}, numbers), "raw")
    return place


def _row(points: Sequence[RatePoint]) -> dict[str, Any]:
    codec, _, setting = points[0].store.partition(" ")
    values = [point.values[question.metric] for point, question in zip(points, _QUESTIONS, strict=True)]
    return {
        "curve": codec,
        "setting": setting or points[0].rate,
        "bpfp": points[0].bpfp,
        **dict(zip((question.column for question in _QUESTIONS), values, strict=True)),
    }
