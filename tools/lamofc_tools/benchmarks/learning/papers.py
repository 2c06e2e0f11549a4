"""Train the papers' codecs on one's own features, and compare them with `klt`.

Hyperprior and ELIC are trained at three lambdas on samples that are not measured, then compared with `klt`, `uniform`,
`vvc` and `hevc` on those that are. Weights, checkpoints and the runs of the comparison stay in the folder, so the same
command continues where it was stopped. The results are written to `results.json` and `results.png`. It takes hours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lamofc_codecs import Quality, Sizes
from lamofc_tools import plots
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report
from lamofc_tools.codec_training import CodecTrainingConfig, Evaluation, Planes, train
from lamofc_tools.comparison import Choice, Measurement, Point, SampleSplit, compare, list_points, split_source
from lamofc_tools.machine import is_slow_in_bfloat16

SIZES = {
    "hyperprior": Sizes("hyperprior", 64, 192),
    "elic": Sizes("elic", 64, 320, (16, 16, 32, 64, 192)),
}
"""The papers' latents with narrower networks, which a CPU can train."""
CROP = (128, 128)
CODECS = ("klt", "uniform", "vvc", "hevc")
QUALITIES = ("snr_db=1", "snr_db=2", "snr_db=4", "snr_db=7", "snr_db=10", "qp=27", "qp=32", "qp=37", "qp=42")
COLUMNS = (
    Column("coder", "codec", "<12"),
    Column("setting", "setting", ">14"),
    Column("bpfp", "bits", ">7.3f"),
    Column("profile_bpfp", "profile", ">8.3f"),
    Column("mse", "mse", ">10.4g"),
    Column("snr_db", "SNR dB", ">7.2f"),
    Column("of_reference", "klt takes", ">10.3f"),
    Column("decode_seconds", "decode s", ">9.4f"),
)
UNITS = {
    "bpfp": "bits per element",
    "profile_bpfp": "bits per element, spread over 10 000 samples",
    "mse": "squared units of the feature",
    "snr_db": "dB",
    "of_reference": "bits of klt at the same error, as a ratio",
    "encode_seconds": "s",
    "decode_seconds": "s",
    "seconds": "s",
}


@dataclass(frozen=True)
class Stage:
    """A training that may begin with the weights of another."""

    name: str
    lmbda: float
    steps: int
    lr: float
    start: str | None = None
    """The stage whose weights it begins with."""
    compared: bool = True
    """Whether its weights are part of the comparison."""


STAGES: dict[str, tuple[Stage, ...]] = {
    "hyperprior": (
        Stage("base", 0.004, 4000, 1e-3, compared=False),
        Stage("0.02-first", 0.02, 1500, 3e-4, "base", compared=False),
        Stage("0.004-first", 0.004, 1500, 3e-4, "base", compared=False),
        Stage("0.001", 0.001, 1500, 3e-4, "base"),
        Stage("0.02", 0.02, 5000, 5e-4, "0.02-first"),
        Stage("0.004", 0.004, 4000, 5e-4, "0.004-first"),
    ),
    "elic": (
        Stage("base", 0.004, 2500, 7e-4, compared=False),
        Stage("0.02", 0.02, 750, 3e-4, "base"),
        Stage("0.004", 0.004, 500, 3e-4, "base"),
        Stage("0.001", 0.001, 500, 3e-4, "base"),
    ),
}


def train_stages(arch: str, planes: Planes, folder: Path, scale: float, report: Report) -> Iterator[dict[str, Any]]:
    """Run the remaining stages of an architecture; yield the history of each."""
    for stage in STAGES[arch]:
        steps = max(2, round(stage.steps * scale))
        half = not is_slow_in_bfloat16("cpu")
        config = CodecTrainingConfig(
            sizes=SIZES[arch], lmbda=stage.lmbda, crop=CROP, steps=steps, every=min(250, steps), lr=stage.lr, half=half
        )
        name = f"{arch}_{stage.name}"
        checkpoint = folder / f"{name}.checkpoint"
        start = folder / f"{arch}_{stage.start}.checkpoint" if stage.start else None
        training = train(
            config, planes, start=start, checkpoint=checkpoint, progress=partial(_print_progress, report, name)
        )
        if stage.compared:
            training.weights().save(folder / f"{name}.safetensors")
        yield {
            "stage": name,
            "lambda": stage.lmbda,
            "compared": stage.compared,
            "seconds": training.seconds,
            "history": training.curve,
        }


def _print_progress(report: Report, name: str, evaluation: Evaluation) -> None:
    report.progress(f"{name} {evaluation}")


def points(folder: Path) -> list[Point]:
    """List all points of the comparison."""
    names = [(arch, stage.name) for arch, stages in STAGES.items() for stage in stages if stage.compared]
    learned = [f"{arch}:weights={folder / f'{arch}_{name}.safetensors'}" for arch, name in names]
    return list_points([*CODECS, *learned], QUALITIES, [])


def training_planes(split: SampleSplit) -> Planes:
    """Make the planes to train on, of samples that are not measured."""
    planes = Planes()
    planes.add(split.train)
    return planes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("source", help="a folder or a file of features, of which the first is taken")
    parser.add_argument("folder", type=Path, help="folder for weights, checkpoints, runs and results")
    parser.add_argument("--held-out-by", metavar="COLUMN", help="measure a quarter of this column's values")
    parser.add_argument("--test-samples", type=int, default=40, metavar="N", help="most samples to measure")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all training steps, for a trial")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Train and compare."""
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    report.files.append(folder / "results.json")
    choice = Choice(held_out_by=arguments.held_out_by, fit_samples=1000, test_samples=arguments.test_samples)
    split = split_source(arguments.source, choice)[0]
    planes = training_planes(split)
    stages = [stage for arch in STAGES for stage in train_stages(arch, planes, folder, arguments.scale, report)]
    measurements = compare(
        [split],
        points(folder),
        source=Path(arguments.source).name,
        reference=Point("klt", "", "klt", quality=Quality(snr_db=10)),
        store=str(folder / "runs.lamofc"),
        progress=lambda number, total, name: report.progress(f"{number} of {total}: {name}"),
    )
    return {"points": write_results(measurements, folder, report), "training": stages}


def write_results(measurements: Sequence[Measurement], folder: Path, report: Report) -> list[dict[str, Any]]:
    """Print the table and draw the plot; return the rows."""
    rows = [
        {name: value for name, value in measurement.to_json().items() if name != "each"} for measurement in measurements
    ]
    report.table(COLUMNS, rows)
    totals = [{**row, "total": measurement.total} for row, measurement in zip(rows, measurements, strict=True)]
    plots.draw_rates(totals, folder / "results.png")
    return rows


BENCHMARK = Benchmark("papers", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
