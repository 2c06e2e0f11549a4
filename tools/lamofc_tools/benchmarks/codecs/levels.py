"""Levels placed by `lloydmax` and by scikit-learn's KMeans: `tools/bench levels [MAPPING]`.

Values are drawn to match levels that others have placed: a list of 256 in JSON, or a feature of a mapping.json; without
one, levels that widen outwards. As many values stand about each level as the best levels of such values would have.
Told are squared errors, of the nearest level and of the one on the left, and seconds. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_codecs import decode, encode, fit, published_levels
from lamofc_tools.machine import machine, seconds

Array = NDArray[np.float32]
_SEED = 1
LEVELS = 256


def drawn(levels: Array, count: int) -> Array:
    """Values whose density falls with the cube of the levels' distances, which is where the best levels lie."""
    draw = np.random.default_rng(_SEED)
    gaps = np.diff(levels.astype(np.float64))
    share = gaps**-2.0
    cells = draw.choice(len(gaps), count, p=share / share.sum())
    found: Array = (levels[cells] + gaps[cells] * draw.random(count)).astype(np.float32)
    return found


def error(values: Array, levels: Array, assign: str) -> float:
    """Mean squared error of values through a record."""
    source = torch.from_numpy(values).view(-1, 1)
    profile = fit("lloydmax", [], levels=levels.tolist(), assign=assign)
    found = decode([encode([source], profile)[0].data], profile)[0].numpy().reshape(-1)
    return float(np.square(found - values, dtype=np.float64).mean())


def measure(levels: Array, count: int, starts: Sequence[int | str], rounds: int) -> dict[str, Any]:
    """Ours, the levels given, and KMeans with one start or more."""
    from sklearn.cluster import KMeans

    values = drawn(levels, count)
    samples = [torch.from_numpy(values).view(-1, 1)]
    placed = fit("lloydmax", samples).tensors["levels"].numpy()
    rows = [_row("lloydmax", values, placed), _row("the levels given", values, levels)]
    rows[0]["seconds"] = seconds(lambda: fit("lloydmax", samples), rounds)
    for start in starts:
        means = KMeans(LEVELS, random_state=42, n_init=start)
        taken = seconds(partial(means.fit, values[:, None]), 1, warm=False)  # that would take as long again
        centres = np.sort(means.cluster_centers_[:, 0]).astype(np.float32)
        rows.append({**_row(f"KMeans, n_init={start}", values, centres), "seconds": taken})
    return {"values": count, "rows": rows}


def _row(how: str, values: Array, levels: Array) -> dict[str, Any]:
    return {"how": how, **{assign: error(values, levels, assign) for assign in ("nearest", "floor")}}


def given(path: Path | None, feature: str | None, family: str | None) -> Array:
    """The levels of a file."""
    if path is None:
        wide: Array = (np.sinh(np.linspace(-8, 8, LEVELS)) / 3).astype(np.float32)
        return wide
    patterns = published_levels(path, family)
    chosen = feature or next(iter(patterns))
    if chosen not in patterns:
        raise SystemExit(f"error: {path} has no pattern {chosen!r}\ntry: one of {', '.join(patterns)}")
    return np.array(patterns[chosen], np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench levels", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("mapping", nargs="?", type=Path, help="a list of levels, or a mapping.json")
    parser.add_argument("--family", help="whose levels of a mapping.json")
    parser.add_argument("--feature", metavar="PATTERN", help="which of its patterns; else the first")
    parser.add_argument("--values", type=int, default=1_000_000, metavar="N", help="how many are drawn")
    parser.add_argument("--starts", default="auto", metavar="N,...", help="n_init of KMeans; auto is its own choice")
    parser.add_argument("--rounds", type=int, default=5, help="ours is timed so often")
    chosen = parser.parse_args(arguments)
    starts = [int(start) if start.isdigit() else start for start in chosen.starts.split(",")]
    levels = given(chosen.mapping, chosen.feature, chosen.family)
    found = measure(levels, chosen.values, starts, chosen.rounds)
    print(f"{machine()}; {found['values']} values, {LEVELS} levels")
    print(f"{'':24}{'mse, nearest':>14}{'mse, floor':>14}{'floor/nearest':>15}{'seconds':>10}")
    for row in found["rows"]:
        taken = f"{row['seconds']:10.3f}" if "seconds" in row else f"{'-':>10}"
        ratio = row["floor"] / row["nearest"]
        print(f"{row['how']:24}{row['nearest']:14.6g}{row['floor']:14.6g}{ratio:15.2f}{taken}")
    print(json.dumps({"machine": machine(), **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
