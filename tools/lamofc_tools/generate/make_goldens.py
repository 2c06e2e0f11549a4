"""Write the golden records of every codec: `python -m lamofc_tools.generate.make_goldens FOLDER`.

Golden records protect existing files: bytes that were once written must decode to the same values for ever. A new codec
or a new mode gets new goldens. If the bytes of an old golden change, the codec needs another id.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lamofc_codecs import Quality, Sizes, decode, encode
from lamofc_codecs.testing import drawn_weights, feature, picture
from lamofc_tools.generate.golden_case import Case
from lamofc_tools.generate.klt_cases import klt_cases


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
    yield from klt_cases(spiked)
    yield from _learned_cases(levels)
    for codec in ("vvc", "hevc"):
        yield Case(f"{codec}-frame", codec, (picture(9, 10, 24, 1, first=3),), Quality(qp=27), promise="values")
    video = {"range": [[-5.0, 5.0], [-2.0, 3.0]], "rounding": "floor"}
    pictures = picture(9, 10, 24, 1), picture(9, 10, 16, 2)
    yield Case("vvc-group", "vvc", pictures, Quality(qp=27), video, together=True, promise="values")


def _learned_cases(levels: list[float]) -> Iterator[Case]:
    """List the modes of the learned codecs."""
    for name, sizes in (
        ("hyperprior-tiles", Sizes("hyperprior", 8, 12)),
        ("elic-tiles", Sizes("elic", 8, 12, (2, 4, 6), ((224, 128), (224, 128)))),
        ("elic-papers", Sizes("elic", 8, 20, (1, 1, 2, 4, 12))),
    ):
        learned: dict[str, Any] = {"levels": levels, "weights": drawn_weights(sizes), "tile": 64}
        yield Case(name, sizes.arch, (feature(70, 150, 1),), None, learned, promise="numbers")
    learned = {"levels": levels, "weights": drawn_weights(Sizes("hyperprior", 8, 12)), "tile": 64}
    planes = {**learned, "planes": True}
    yield Case("hyperprior-planes", "hyperprior", (feature(144, 60, 2),), None, planes, planes=2, promise="numbers")
    parts = feature(70, 40, 1), feature(70, 24, 2, torch.float16)
    ranges = {"weights": learned["weights"], "tile": 0, "fill": "zero", "range": [[-5.0, 5.0], [-2.0, 3.0]]}
    like = ({"part0": torch.arange(160.0).view(4, 40) / 16, "part1": torch.arange(96.0).view(4, 24) / 16},)
    name = "hyperprior-range-group"
    yield Case(name, "hyperprior", parts, None, ranges, together=True, like=like, promise="numbers")


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
