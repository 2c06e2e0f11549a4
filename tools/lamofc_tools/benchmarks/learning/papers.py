"""The papers' codecs trained on one's own features, beside `klt`: `tools/bench papers SOURCE FOLDER`.

Hyperprior and ELIC are trained at three lambdas on samples that are not measured, then compared with `klt`, `uniform`,
`vvc` and `hevc` on those that are. Weights, checkpoints and the comparison's runs stay in the folder, so that the same
command goes on where it was stopped; `results.json` and `results.png` are what it comes to. It takes hours.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lamofc_codecs import Quality, Sizes
from lamofc_tools import plots
from lamofc_tools.codec_training import CodecTrainingConfig, Evaluation, Planes, train
from lamofc_tools.comparison import Choice, Found, Point, Split, compare, grid, splits
from lamofc_tools.machine import machine

SIZES = {
    "hyperprior": Sizes("hyperprior", 64, 192),
    "elic": Sizes("elic", 64, 320, (16, 16, 32, 64, 192)),
}
"""The papers' latents, with narrower networks: what a processor can train."""
CROP = (128, 128)
OURS = ("klt", "uniform", "vvc", "hevc")
QUALITIES = ("snr_db=1", "snr_db=2", "snr_db=4", "snr_db=7", "snr_db=10", "qp=27", "qp=32", "qp=37", "qp=42")


@dataclass(frozen=True)
class Stage:
    """A training that begins with the weights of another."""

    name: str
    lmbda: float
    steps: int
    lr: float
    start: str | None = None
    last: bool = True
    """Whether its weights are compared."""


STAGES: dict[str, tuple[Stage, ...]] = {
    "hyperprior": (
        Stage("base", 0.004, 4000, 1e-3, last=False),
        Stage("0.02-first", 0.02, 1500, 3e-4, "base", last=False),
        Stage("0.004-first", 0.004, 1500, 3e-4, "base", last=False),
        Stage("0.001", 0.001, 1500, 3e-4, "base"),
        Stage("0.02", 0.02, 5000, 5e-4, "0.02-first"),
        Stage("0.004", 0.004, 4000, 5e-4, "0.004-first"),
    ),
    "elic": (
        Stage("base", 0.004, 2500, 7e-4, last=False),
        Stage("0.02", 0.02, 750, 3e-4, "base"),
        Stage("0.004", 0.004, 500, 3e-4, "base"),
        Stage("0.001", 0.001, 500, 3e-4, "base"),
    ),
}


def trained(arch: str, planes: Planes, folder: Path, scale: float) -> Iterator[dict[str, Any]]:
    """Run what is left of an architecture's stages; how each went."""
    for stage in STAGES[arch]:
        steps = max(2, round(stage.steps * scale))
        config = CodecTrainingConfig(
            sizes=SIZES[arch], lmbda=stage.lmbda, crop=CROP, steps=steps, every=min(250, steps), lr=stage.lr, half=True
        )
        name = f"{arch}_{stage.name}"
        checkpoint = folder / f"{name}.checkpoint"
        start = folder / f"{arch}_{stage.start}.checkpoint" if stage.start else None
        training = train(config, planes, start=start, checkpoint=checkpoint, progress=partial(_told, name))
        if stage.last:
            training.weights().save(folder / f"{name}.safetensors")
        yield {
            "stage": name,
            "lambda": stage.lmbda,
            "compared": stage.last,
            "seconds": training.seconds,
            "history": training.curve,
        }


def _told(name: str, at: Evaluation) -> None:
    print(f"{name} {at}", file=sys.stderr, flush=True)


def _reached(number: int, total: int, name: str) -> None:
    print(f"{number} of {total}: {name}", file=sys.stderr, flush=True)


def points(folder: Path) -> list[Point]:
    """All that is compared."""
    names = [(arch, stage.name) for arch, stages in STAGES.items() for stage in stages if stage.last]
    learned = [f"{arch}:weights={folder / f'{arch}_{name}.safetensors'}" for arch, name in names]
    return grid([*OURS, *learned], QUALITIES, [])


def planes_of(split: Split) -> Planes:
    """What is trained on: samples that are not measured."""
    made = Planes()
    made.add(split.train)
    return made


def shown(found: Sequence[Found]) -> None:
    """A table."""
    print(f"{'codec':12}{'setting':>14}{'bits':>8}{'profile':>9}{'mse':>11}{'SNR dB':>8}{'klt takes':>11}{'dec s':>8}")
    for one in found:
        share = "-" if one.of_reference is None else f"{one.of_reference:.3f}x"
        print(
            f"{one.coder:12}{one.setting:>14}{one.bpfp:8.3f}{one.profile_bpfp:9.3f}{one.mse:11.4g}{one.snr_db:8.2f}"
            f"{share:>11}{one.decode_seconds:8.4f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, compare, and write what came of it."""
    parser = argparse.ArgumentParser(prog="tools/bench papers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", help="a folder or a file of features; the first feature is taken")
    parser.add_argument("folder", type=Path, help="what is kept")
    parser.add_argument("--held-out-by", metavar="COLUMN", help="measure a quarter of this column's values")
    parser.add_argument("--test-samples", type=int, default=40, metavar="N")
    parser.add_argument("--scale", type=float, default=1.0, help="of all steps of training, for a trial")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    choice = Choice(held_out_by=chosen.held_out_by, fit_samples=1000, test_samples=chosen.test_samples)
    split = splits(chosen.source, choice)[0]
    planes = planes_of(split)
    stages = [stage for arch in STAGES for stage in trained(arch, planes, chosen.folder, chosen.scale)]
    klt = Point("klt", "", "klt", quality=Quality(snr_db=10))
    found = compare(
        [split],
        points(chosen.folder),
        source=Path(chosen.source).name,
        reference=klt,
        store=str(chosen.folder / "runs.lamofc"),
        tell=_reached,
    )
    shown(found)
    rows = [{name: value for name, value in one.to_json().items() if name != "each"} for one in found]
    document = {"machine": machine(), "points": rows, "training": stages}
    (chosen.folder / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    drawn = [{**row, "total": one.total} for row, one in zip(rows, found, strict=True)]
    plots.draw(drawn, chosen.folder / "results.png")
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
