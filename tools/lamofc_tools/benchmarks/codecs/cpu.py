"""How fast `klt` codes on the CPU, beside CompressAI's Hyperprior: `tools/bench cpu`.

Features are drawn: channels with a spectrum that falls by a power law under a random rotation, tokens of unlike energy,
massive entries; or, as `picture`, patches of 32 x 32 of which neighbours are alike. Decoding writes into tensors that
are there already. GB/s are of float32; figures are medians of several rounds. The Hyperprior's weights are not trained:
its layers cost the same, its coder may cost other. zfp and zstd of float16 stand beside them on one core. The last line
is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_codecs.testing import picture
from lamofc_tools.benchmarks.learning import peers
from lamofc_tools.machine import machine, seconds

TOKENS, BATCH, FITTED = 1029, 8, 16
SHAPES = {"1029 x 384": 384, "1029 x 1024": 1024, "1029 x 4096": 4096, "picture x 1024": 1024}
COMPONENTS = 1024


def drawn(name: str, count: int, seed: int) -> list[Tensor]:
    """Tensors of one shape, float32."""
    if name.startswith("picture"):
        return [picture(32, 32, SHAPES[name], 1000 * seed + number, first=5) for number in range(count)]
    return features(SHAPES[name], count, seed)


def features(channels: int, count: int, seed: int) -> list[Tensor]:
    """Tokens that have nothing to do with their neighbours."""
    about = torch.Generator().manual_seed(channels)
    rotation, _ = torch.linalg.qr(torch.randn(channels, channels, generator=about))
    spread = (torch.arange(channels) + 3.0) ** -0.7
    found = []
    for number in range(count):
        draw = torch.Generator().manual_seed(1000 * seed + number)
        energy = torch.exp(0.3 * torch.randn(TOKENS, 1, generator=draw))
        tensor = (torch.randn(TOKENS, channels, generator=draw) * spread * energy) @ rotation * 30 + 1
        tensor[TOKENS // 2, channels // 3] = 5000.0
        found.append(tensor)
    return found


def klt_row(name: str, aim: float, rounds: int, fitted: int = FITTED) -> dict[str, Any] | None:
    """One shape at one aim; None where so few columns do not reach it."""
    train, test = drawn(name, fitted, 1), drawn(name, BATCH, 2)
    started = time.perf_counter()
    profile = fit("klt", train, Quality(snr_db=aim), means=0, components=min(SHAPES[name], COMPONENTS))
    fitting = time.perf_counter() - started
    records = encode(test, profile)
    if any(record.codec != "klt" for record in records):
        return None
    data, room = [record.data for record in records], [torch.empty_like(tensor) for tensor in test]
    size, elements = sum(tensor.nbytes for tensor in test), sum(record.elements for record in records)
    return {
        "shape": name,
        "coder": "klt",
        "aim_db": aim,
        "bits": sum(record.payload_bits for record in records) / elements,
        "layers": len(records[0].layers),
        "decode_gb_s": size / seconds(lambda: decode(data, profile, out=room), rounds) / 1e9,
        "decode_msymbol_s": elements / seconds(lambda: decode(data, profile, out=room), rounds) / 1e6,
        "encode_gb_s": size / seconds(lambda: encode(test, profile), max(1, rounds // 3)) / 1e9,
        "fit_s": fitting,
    }


def small_hyperprior(kind: Any) -> Any:
    """A Hyperprior of one channel, weights as they are drawn."""
    model = kind(128, 192).eval()
    model.g_a[0] = torch.nn.Conv2d(1, 128, 5, stride=2, padding=2)
    model.g_s[-1] = torch.nn.ConvTranspose2d(128, 1, 5, stride=2, padding=2, output_padding=1)
    model.update(force=True)
    return model


def hyperprior_row(name: str, channels: int, rounds: int) -> dict[str, Any] | None:
    """CompressAI's Hyperprior of one channel over the tokens x channels plane of one tensor."""
    try:
        from compressai.models import ScaleHyperprior
    except ImportError:
        return None
    model = small_hyperprior(ScaleHyperprior)
    plane = torch.rand(1, 1, -(-TOKENS // 64) * 64, -(-channels // 64) * 64)
    with torch.no_grad():
        coded = model.compress(plane)
        decoding = seconds(lambda: model.decompress(coded["strings"], coded["shape"]), rounds)
        encoding = seconds(lambda: model.compress(plane), rounds)
    size = 4 * TOKENS * channels / 1e9
    return {"shape": name, "coder": "hyperprior", "decode_gb_s": size / decoding, "encode_gb_s": size / encoding}


def rows_of(name: str, aims: Sequence[float], rounds: int, fitted: int) -> Iterator[dict[str, Any]]:
    """All coders on one shape; whatever decodes stands beside the Hyperprior."""
    channels = SHAPES[name]
    slow = hyperprior_row(name, channels, max(1, rounds // 3))
    found: list[dict[str, Any]] = [slow] if slow else []
    test = drawn(name, 2, 2)
    for coder, aim, bits, encoding, decoding in peers.speeds(test, aims, max(1, rounds // 3)):
        figures = {"bits": bits, "decode_gb_s": decoding, "encode_gb_s": encoding}
        found.append({"shape": name, "coder": coder, "aim_db": aim, **figures})
    yield from found
    for aim in aims:
        few: dict[str, Any] = {"shape": name, "coder": f"klt: {COMPONENTS} columns are too few", "aim_db": aim}
        yield klt_row(name, aim, rounds, fitted) or few


def shown(row: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [f"{row['shape']:16}{row['coder']:16}{row.get('aim_db') or '-':>7}"]
    for key, digits in (("bits", 3), ("decode_gb_s", 4), ("encode_gb_s", 4), ("fit_s", 1)):
        cells.append(f"{row[key]:>13.{digits}f}" if row.get(key) is not None else " " * 13)
    cells.append(f"{row['times_hyperprior']:>12.1f}x" if "times_hyperprior" in row else "")
    return "".join(cells).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench cpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of each figure")
    parser.add_argument("--aims", default="5,10,20", metavar="DB,...", help="signal to noise to aim at")
    parser.add_argument("--fitted", type=int, default=FITTED, metavar="N", help="tensors that klt is fitted on")
    parser.add_argument("--shapes", default=",".join(SHAPES), metavar="SHAPE,...", help="some of the shapes")
    chosen = parser.parse_args(arguments)
    print(machine())
    heads = ("bits", "decode GB/s", "encode GB/s", "fit s", "hyperprior")
    print(f"{'shape':16}{'coder':16}{'aim dB':>7}" + "".join(f"{head:>13}" for head in heads))
    rows: list[dict[str, Any]] = []
    for name in chosen.shapes.split(","):
        slow = 0.0
        for row in rows_of(name, [float(aim) for aim in chosen.aims.split(",")], chosen.rounds, chosen.fitted):
            slow = row["decode_gb_s"] if row["coder"] == "hyperprior" else slow
            if slow and "decode_gb_s" in row:
                row["times_hyperprior"] = row["decode_gb_s"] / slow
            print(shown(row), flush=True)
            rows.append(row)
    print(json.dumps({"machine": machine(), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
