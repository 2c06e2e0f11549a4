"""Golden records of `klt`: each of its modes, and modes that act on each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lamofc_codecs import Quality, Rotary
from lamofc_codecs.testing import feature, picture
from lamofc_tools.generate.golden_case import Case


def klt_cases(spiked: torch.Tensor) -> Iterator[Case]:
    """List every mode of `klt`; `spiked` is a feature with values that no step represents."""
    yield Case("klt-layers", "klt", (feature(150, 24, 1),), Quality(snr_db=20), {"layer_bytes": 512})
    stages: dict[str, Any] = {"layer_bytes": 32}
    yield Case("klt-stages", "klt", (feature(240, 24, 7),), Quality(snr_db=26), stages)
    yield Case("klt-stages-plain", "klt", (feature(150, 24, 5),), Quality(snr_db=26), {**stages, "transform": "none"})
    yield Case("klt-means", "klt", (feature(150, 24, 2),), Quality(snr_db=10), {"means": 40, "layer_bytes": 32})
    yield Case("klt-many-means-float16", "klt", (feature(90, 24, 3, torch.float16),), Quality(bpfp=2), {"means": 150})
    yield Case(
        "klt-few-columns-bfloat16",
        "klt",
        (feature(90, 24, 4, torch.bfloat16),),
        Quality(mse=2.0),
        {"components": 9},
    )
    yield Case("klt-fine", "klt", (feature(70, 12, 2),), Quality(step=2.0**-9), {"levels": 2, "layer_bytes": 128})
    yield Case("klt-largest-error", "klt", (feature(70, 12, 2, torch.float16),), Quality(max_error=0.01))
    yield Case("klt-exact", "klt", (spiked,), Quality(step=0.25), {"nonfinite": "exact", "layer_bytes": 64})
    yield Case("klt-plain", "klt", (feature(150, 24, 5),), Quality(snr_db=12), {"transform": "none"})
    items = tuple(feature(tokens, 48, 5) for tokens in (1, 1, 0, 3))
    yield Case("klt-items", "klt", items, Quality(snr_db=20))
    group = (
        feature(80, 20, 6),
        feature(80, 12, 7, torch.float16),
        feature(80, 5, 8, torch.bfloat16),
    )
    yield Case("klt-group", "klt", group, Quality(snr_db=15), {"layer_bytes": 256}, together=True)
    pictures = tuple(picture(9, 9, 24, seed, first=3) for seed in range(8))
    waves: dict[str, Any] = {"waves": True, "layer_bytes": 32}
    item = picture(16, 14, 24, 20, first=3)
    yield Case("klt-waves", "klt", (item,), Quality(snr_db=28), waves, like=pictures)
    lines = tuple(picture(70, 1, 12, seed) for seed in range(8))
    item, waves = picture(75, 1, 12, 20).to(torch.float16), {"waves": True, "transform": "none"}
    yield Case("klt-waves-plain-float16", "klt", (item,), Quality(snr_db=12), waves, like=lines)
    *pairs, item = (
        torch.cat([picture(9, 8, 24, 2 * seed + offset, first=5) for offset in (0, 1)]) for seed in range(9)
    )
    yield Case("klt-waves-several", "klt", (item,), Quality(snr_db=15), {"waves": True}, like=tuple(pairs))
    weight = torch.randn(4, 24, generator=torch.Generator().manual_seed(3))
    weighted: dict[str, Any] = {"weight": weight, "layer_bytes": 64, "means": 0}
    yield Case("klt-weighted", "klt", (feature(150, 24, 2),), Quality(snr_db=20), weighted)
    yield from _rotary_cases()
    yield from _sink_cases()
    yield Case("klt-empty", "klt", (feature(0, 12, 4),), Quality(snr_db=20))


def _rotary_cases() -> Iterator[Case]:
    """Turned keys; and a group whose first tokens are alike, with a weight for each feature."""
    angles = (1.0, 0.31, 0.1, 0.03)
    halves, neighbours = Rotary(angles, "halves", 2), Rotary(angles, "neighbours")
    *like, item = (_turned(feature(90, 24, seed), halves) for seed in (-1, -2, -3, 5))
    rotary: dict[str, Any] = {"rotary": halves, "means": 30, "layer_bytes": 64}
    yield Case("klt-rotary", "klt", (item,), Quality(snr_db=20), rotary, like=tuple(like))
    late = _turned(feature(70, 12, 6), neighbours, 1000).to(torch.float16)
    rotary = {"rotary": neighbours, "transform": "none"}
    like = [_turned(feature(90, 12, -seed), neighbours) for seed in (1, 2)]
    yield Case(
        "klt-rotary-late-float16", "klt", (late,), Quality(snr_db=12), rotary, like=tuple(like), first_position=1000
    )
    noise = torch.Generator().manual_seed(7)
    weight = {"part0": torch.randn(30, 24, generator=noise), "part1": torch.rand(12, generator=noise)}
    *samples, group = (
        (_turned(_begun(feature(50, 24, seed)), halves), _begun(feature(50, 12, seed + 20))) for seed in range(12)
    )
    like_groups = tuple({"part0": keys, "part1": values} for keys, values in samples)
    options: dict[str, Any] = {"rotary": {"part0": halves}, "weight": weight, "means": 20, "layer_bytes": 128}
    yield Case("klt-group-weighted", "klt", group, Quality(snr_db=18), options, together=True, like=like_groups)
    wide = feature(40, 160, 1), feature(40, 104, 2)
    matrix = torch.randn(200, 160, generator=noise) * torch.logspace(0, -1, 160)
    options = {"weight": {"part0": matrix, "part1": torch.rand(104, generator=noise)}, "means": 12, "waves": False}
    like_wide = tuple({"part0": feature(90, 160, -seed), "part1": feature(90, 104, -seed - 9)} for seed in range(1, 5))
    yield Case("klt-coded-matrices", "klt", wide, Quality(snr_db=12), options, together=True, like=like_wide)


def _sink_cases() -> Iterator[Case]:
    """List weighted groups with sinks, in each way to code tokens; turned items; rotary positions that a fit finds."""
    angles = (1.0, 0.31, 0.1)
    halves, neighbours = Rotary(angles, "halves", 2), Rotary(angles, "neighbours", 2)
    noise = torch.Generator().manual_seed(11)
    matrices = {"part0": torch.randn(30, 20, generator=noise), "part1": torch.rand(12, generator=noise)}
    matrices["part2"] = torch.randn(9, 8, generator=noise)
    vectors = {name: torch.rand(one.shape[-1], generator=noise) + 0.1 for name, one in matrices.items()}
    common: dict[str, Any] = {"sinks": True, "weight_nats": 0.5, "weight_floor": 0.001, "layer_bytes": 32}
    turned, seeds = {"weight": matrices, "rotary": {"part0": halves}}, range(-12, 0)
    like, group = [_cache(seed, halves) for seed in seeds], [part[1:].clone() for part in _cache(1, halves)]
    options = {**common, **turned, "means": 20, "waves": False}
    yield _group_case("klt-sinks", _with_sink(group), options, like, first_position=1)
    options = {**common, **turned, "rotary": {"part0": neighbours}, "means": 0, "waves": True}
    like, group = [_cache(seed, neighbours) for seed in seeds], _cache(1, neighbours, 700)
    yield _group_case("klt-sinks-no-grid", _with_sink(group), options, like, first_position=700)
    options = {**common, **turned, "means": 12, "waves": True}
    *like, group = [_cache(seed, halves, smooth=True) for seed in (*seeds, 1)]
    yield _group_case("klt-group-waves", group, options, like)
    options = {**common, "weight": vectors, "rotary": {"part0": neighbours}, "transform": "none", "waves": False}
    *like, group = [_cache(seed, neighbours) for seed in (*seeds, 1)]
    yield _group_case("klt-sinks-plain", _with_sink(group), options, like)
    options = {**common, "weight": matrices["part0"], "rotary": neighbours, "means": 8, "waves": False}
    sequences = tuple(_turned(_begun(feature(tokens, 20, tokens)), neighbours) for tokens in range(50, 62))
    items = tuple(
        scale * _turned(_begun(feature(tokens, 20, 9)), neighbours)[1:]
        for tokens, scale in ((41, 1.0), (2, 1.0), (1, 1.0), (31, 0.1))
    )
    yield Case("klt-items-turned", "klt", items, Quality(snr_db=18), options, like=sequences, first_position=1)
    rope = Rotary(tuple(5e5 ** (-pair / 4) for pair in range(4)), "neighbours", 2)
    offset = 6 * torch.randn(32, generator=noise)
    *found, late = [
        _turned(feature(70, 32, seed) + offset, rope, 500 * (seed > 0)).to(torch.bfloat16) for seed in (*seeds, 1)
    ]
    options = {"rotary": "find", "means": 0, "waves": False, "layer_bytes": 64}
    yield Case("klt-rotary-found", "klt", (late,), Quality(snr_db=24), options, like=tuple(found), first_position=500)
    yield _coded_sinks()


def _coded_sinks() -> Case:
    """Return the case of a wide group with sinks whose matrices are coded, a few directions of each part weighed."""
    noise = torch.Generator().manual_seed(13)
    mixing = torch.randn(10, 264, generator=noise) * torch.logspace(0, -1.5, 10)[:, None]
    keys = Rotary((1.0, 0.1, 0.01), "halves", 4)
    groups = []
    for seed in range(13):
        values = (_begun(feature(24, 10, seed)[:, :10]) @ mixing + 0.01 * torch.randn(24, 264, generator=noise)).half()
        groups.append([_turned(values[:, :160], keys), values[:, 160:].clone()])
    weight = {"part0": torch.randn(5, 160, generator=noise), "part1": torch.randn(3, 104, generator=noise)}
    options = {"weight": weight, "weight_nats": 0.5, "sinks": True, "rotary": {"part0": keys}, "means": 10}
    options |= {"waves": False, "layer_bytes": 32}
    *like, group = groups
    for part in group:
        part[17] *= 8
    case = _group_case("klt-coded-sinks", group, options, like)
    return replace(
        case, promise="values"
    )  # weights that are nearly singular: the step depends on a processor's rounding


def _group_case(
    name: str,
    group: Sequence[torch.Tensor],
    options: dict[str, Any],
    like: Sequence[Sequence[torch.Tensor]],
    first_position: int = 0,
) -> Case:
    """Return the case of a group at a divergence, fitted on groups like it."""
    samples = tuple({f"part{number}": part for number, part in enumerate(one)} for one in like)
    quality = Quality(kl=1.0)
    return Case(name, "klt", tuple(group), quality, options, together=True, like=samples, first_position=first_position)


def _cache(seed: int, rotary: Rotary, first: int = 0, *, smooth: bool = False) -> list[torch.Tensor]:
    """Make turned keys, values and states: smooth, or those of a sequence from its first tokens on, or later."""
    if smooth:
        keys, values, states = (picture(60, 1, width, seed) for width in (20, 12, 8))
    else:
        keys, values, states = (feature(60, width, seed) for width in (20, 12, 8))
    if not smooth and not first:
        keys, values, states = map(_begun, (keys, values, states))
    return [_turned(keys, rotary, first), values.to(torch.float16), states.to(torch.bfloat16)]


def _with_sink(group: list[torch.Tensor]) -> list[torch.Tensor]:
    """Enlarge a token of a group."""
    for part in group:
        part[33] *= 8
    return group


def _turned(values: torch.Tensor, rotary: Rotary, first: int = 0) -> torch.Tensor:
    """Turn tokens by their positions, as a model turns keys."""
    return rotary.turned(values, np.arange(first, first + len(values)))


def _begun(values: torch.Tensor) -> torch.Tensor:
    """Begin with two tokens that are the same in all samples, and large."""
    values[:2] = 40 * torch.randn(2, values.shape[1], generator=torch.Generator().manual_seed(2))[: len(values)]
    return values
