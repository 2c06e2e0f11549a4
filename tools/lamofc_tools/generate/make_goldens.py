"""Write the golden records of every codec: `python -m lamofc_tools.generate.make_goldens FOLDER`.

Golden records protect existing files: bytes that were once written must decode to the same values for ever. A new codec
or a new mode gets new goldens. If the bytes of an old golden change, the codec needs another id.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file

from lamofc_codecs import Profile, Quality, Rotary, Sizes, decode, encode, fit
from lamofc_codecs.testing import drawn_weights, feature, picture


@dataclass(frozen=True)
class Case:
    """One golden: a codec in one of its modes, and the tensors that it codes."""

    name: str
    codec: str
    items: tuple[torch.Tensor, ...]
    """Items of one feature; with `together`, features of one sample."""
    quality: Quality | None = None
    options: dict[str, Any] = field(default_factory=dict)
    together: bool = False
    like: tuple[Any, ...] = ()
    """Samples to fit on, if not synthetic features."""
    first_position: int = 0
    """Position of the first token in its sequence."""
    planes: int = 1
    promise: Literal["bytes", "values", "numbers"] = "bytes"
    """What must stay the same for ever: `bytes` means everything; `values` means the decoded values, since an external
    encoder writes the bytes; `numbers` means the level indices, since the floats of another processor may choose a
    neighbouring level. The profile of the last, megabytes of weights, is generated each time, without samples."""

    def element(self) -> list[torch.Tensor] | dict[str, torch.Tensor]:
        """Return the tensors in the form that the codec takes."""
        return {f"part{number}": item for number, item in enumerate(self.items)} if self.together else list(self.items)

    def profile(self) -> Profile:
        """Fit a profile on samples like the items."""
        if self.together:
            samples = list(self.like) or [
                {name: feature(90, item.shape[1], -seed) for name, item in self.element().items()}  # type: ignore[union-attr]
                for seed in (1, 2)
            ]
            return fit(self.codec, samples, self.quality, **self.options)
        if self.promise == "numbers":
            return fit(self.codec, [], self.quality, **self.options)
        channels = self.items[0].shape[1]
        features = [feature(120, channels, -1), feature(60, channels, -2)]
        return fit(self.codec, list(self.like) or features, self.quality, **self.options)


def cases() -> Iterator[Case]:
    """List every mode of every codec."""
    integers = torch.randint(-(2**63), 2**63 - 1, (3, 5), generator=torch.Generator().manual_seed(1))
    spiked = feature(70, 12, 3)
    spiked[3, 4], spiked[5, 6], spiked[7, 8], spiked[9, 10] = float("nan"), -float("inf"), 5e33, 30000.0
    levels = [float(number**3) / 40000 for number in range(-128, 128)]
    yield Case("raw-float32", "raw", (feature(200, 12, 1),))
    yield Case("raw-float16", "raw", (feature(300, 12, 1, torch.float16),))
    yield Case("raw-bfloat16", "raw", (feature(300, 12, 1, torch.bfloat16),))
    yield Case("raw-float64-items", "raw", (feature(30, 7, 1, torch.float64), feature(0, 7, 1, torch.float64)))
    yield Case("raw-int64", "raw", (torch.arange(800).reshape(100, 8),))
    yield Case("raw-whole", "raw", (integers,))
    yield Case("raw-empty", "raw", (torch.zeros(0, 9, dtype=torch.bool),))
    yield Case("uniform-snr", "uniform", (feature(120, 24, 1),), Quality(snr_db=15))
    yield Case("uniform-rate-float16", "uniform", (feature(120, 24, 2, torch.float16),), Quality(bpfp=2))
    yield Case("uniform-mse-bfloat16", "uniform", (feature(70, 12, 2, torch.bfloat16),), Quality(mse=0.01))
    yield Case("uniform-low-bits", "uniform", (feature(70, 12, 2),), Quality(step=2.0**-9))
    yield Case("uniform-largest-error", "uniform", (feature(70, 12, 2, torch.float16),), Quality(max_error=0.0035))
    yield Case("uniform-exact", "uniform", (spiked,), Quality(step=0.25), {"nonfinite": "exact"})
    yield Case("uniform-bits-clip", "uniform", (feature(70, 12, 4),), None, {"bits": 10, "range": (-5.0, 5.0)})
    exact = {"bits": 8, "range": (-5.0, 5.0), "outside": "exact"}
    yield Case("uniform-bits-exact", "uniform", (feature(70, 12, 4),), None, exact)
    yield Case("uniform-items", "uniform", tuple(feature(tokens, 48, 5) for tokens in (1, 1, 0, 3)), Quality(snr_db=20))
    yield Case("uniform-empty", "uniform", (feature(0, 12, 4),), Quality(snr_db=20))
    yield Case("lloydmax-nearest", "lloydmax", (feature(200, 24, 6),))
    yield Case("lloydmax-own-table", "lloydmax", (feature(300, 24, 6) * 0.05,))
    yield Case(
        "lloydmax-floor-float16",
        "lloydmax",
        (feature(70, 12, 6, torch.float16),),
        None,
        {"levels": levels, "assign": "floor"},
    )
    yield from _klt_cases(spiked)
    for codec, sizes in (("hyperprior", Sizes("hyperprior", 8, 12)), ("elic", Sizes("elic", 8, 12, (2, 4, 6)))):
        learned: dict[str, Any] = {"levels": levels, "weights": drawn_weights(sizes), "tile": 64}
        yield Case(f"{codec}-tiles", codec, (feature(70, 150, 1),), None, learned, promise="numbers")
    learned = {"levels": levels, "weights": drawn_weights(Sizes("hyperprior", 8, 12)), "tile": 64}
    planes = {**learned, "planes": True}
    yield Case("hyperprior-planes", "hyperprior", (feature(144, 60, 2),), None, planes, planes=2, promise="numbers")
    parts = feature(70, 40, 1), feature(70, 24, 2, torch.float16)
    ranges = {"weights": learned["weights"], "tile": 0, "fill": "zero", "range": [[-5.0, 5.0], [-2.0, 3.0]]}
    like = ({"part0": torch.arange(160.0).view(4, 40) / 16, "part1": torch.arange(96.0).view(4, 24) / 16},)
    name = "hyperprior-range-group"
    yield Case(name, "hyperprior", parts, None, ranges, together=True, like=like, promise="numbers")
    for codec in ("vvc", "hevc"):
        yield Case(f"{codec}-frame", codec, (picture(9, 10, 24, 1, first=3),), Quality(qp=27), promise="values")
    video = {"range": [[-5.0, 5.0], [-2.0, 3.0]], "rounding": "floor"}
    pictures = picture(9, 10, 24, 1), picture(9, 10, 16, 2)
    yield Case("vvc-group", "vvc", pictures, Quality(qp=27), video, together=True, promise="values")


def _klt_cases(spiked: torch.Tensor) -> Iterator[Case]:
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


def _turned(values: torch.Tensor, rotary: Rotary, first: int = 0) -> torch.Tensor:
    """Turn tokens by their positions, as a model turns keys."""
    return rotary.turned(values, np.arange(first, first + len(values)))


def _begun(values: torch.Tensor) -> torch.Tensor:
    """Begin with two tokens that are the same in all samples, and large."""
    values[:2] = 40 * torch.randn(2, values.shape[1], generator=torch.Generator().manual_seed(2))
    return values


def digest(tensors: list[torch.Tensor]) -> str:
    """Compute the sha256 over dtypes, shapes and bytes."""
    hasher = hashlib.sha256()
    for tensor in tensors:
        hasher.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        hasher.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return hasher.hexdigest()


def write(case: Case, folder: Path) -> None:
    """Write one golden: profile, source, record, and the digest of the decoded tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = case.profile()
    record = encode([case.element()], profile, first_positions=[case.first_position], planes=[case.planes])[0]
    if case.promise != "numbers":
        profile.save(folder / "profile.safetensors")
    save_file({f"item{number}": item for number, item in enumerate(case.items)}, folder / "source.safetensors")
    (folder / "record.bin").write_bytes(record.data)
    decoded = decode([record.data], profile)
    if case.promise == "numbers":
        save_file({f"item{number}": item for number, item in enumerate(decoded)}, folder / "decoded.safetensors")
    expected = {"codec": record.codec, "profile": profile.id, "decoded": digest(decoded)}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def main() -> None:
    """Write all goldens that do not exist; to replace one, delete it first."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/codecs/goldens")
    for case in cases():
        if not (root / case.name).exists():
            write(case, root / case.name)
            print(root / case.name)


if __name__ == "__main__":
    main()
