"""How fast `klt` codes on the CPU, beside CompressAI's Hyperprior: `python -m lamofc_tools.bench_cpu`.

Features are drawn: channels with a spectrum that falls by a power law under a random rotation, tokens of unlike energy,
massive entries. Decoding writes into tensors that are there already. Figures are medians of several rounds; the
Hyperprior's weights are not trained: its layers cost the same, its coder may cost other. The last line is one JSON
document.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_tools.machine import machine

TOKENS, BATCH, FITTED = 1029, 8, 16
SHAPES = {"1029 x 384": 384, "1029 x 1024": 1024, "1029 x 4096": 4096}
COMPONENTS = 1024


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The median over rounds, after one that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def features(channels: int, count: int, seed: int) -> list[Tensor]:
    """Tensors of one feature, float32."""
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


def klt_row(name: str, channels: int, aim: float, rounds: int) -> dict[str, Any]:
    """One shape at one aim."""
    train, test = features(channels, FITTED, 1), features(channels, BATCH, 2)
    started = time.perf_counter()
    profile = fit("klt", train, Quality(snr_db=aim), means=0, components=min(channels, COMPONENTS))
    fitting = time.perf_counter() - started
    records = encode(test, profile)
    if any(record.codec != "klt" for record in records):
        raise AssertionError(f"{name} at {aim} dB was not coded by klt")
    data, room = [record.data for record in records], [torch.empty_like(tensor) for tensor in test]
    size = sum(tensor.nbytes for tensor in test)
    elements = sum(record.elements for record in records)
    return {
        "shape": name,
        "aim_db": aim,
        "bits": sum(record.payload_bits for record in records) / elements,
        "layers": len(records[0].layers),
        "decode_gb_s": size / seconds(lambda: decode(data, profile, out=room), rounds) / 1e9,
        "encode_gb_s": size / seconds(lambda: encode(test, profile), max(1, rounds // 3)) / 1e9,
        "fit_s": fitting,
    }


def hyperprior_row(name: str, channels: int, rounds: int) -> dict[str, Any] | None:
    """CompressAI's Hyperprior of one channel over the tokens x channels plane of one tensor."""
    try:
        from compressai.models import ScaleHyperprior
    except ImportError:
        return None
    model = ScaleHyperprior(128, 192).eval()
    model.g_a[0] = torch.nn.Conv2d(1, 128, 5, stride=2, padding=2)
    model.g_s[-1] = torch.nn.ConvTranspose2d(128, 1, 5, stride=2, padding=2, output_padding=1)
    model.update(force=True)
    plane = torch.rand(1, 1, -(-TOKENS // 64) * 64, -(-channels // 64) * 64)
    with torch.no_grad():
        coded = model.compress(plane)
        taken = seconds(lambda: model.decompress(coded["strings"], coded["shape"]), rounds)
    return {"shape": name, "coder": "hyperprior", "decode_gb_s": 4 * TOKENS * channels / taken / 1e9}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench cpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of each figure")
    parser.add_argument("--aims", default="5,10,20", metavar="DB,...", help="signal to noise to aim at")
    parser.add_argument("--shapes", default=",".join(SHAPES), metavar="SHAPE,...", help="some of the shapes")
    chosen = parser.parse_args(arguments)
    print(machine())
    heads = ("bits", "decode GB/s", "encode GB/s", "fit s", "times")
    print(f"{'shape':14}{'coder':12}{'aim dB':>7}" + "".join(f"{head:>13}" for head in heads))
    rows: list[dict[str, Any]] = []
    for name in chosen.shapes.split(","):
        peer = hyperprior_row(name, SHAPES[name], max(1, chosen.rounds // 3))
        if peer is not None:
            rows.append(peer)
            print(f"{name:14}{'hyperprior':12}{'':20}{peer['decode_gb_s']:>13.4f}")
        for aim in map(float, chosen.aims.split(",")):
            row = klt_row(name, SHAPES[name], aim, chosen.rounds)
            row["times_hyperprior"] = row["decode_gb_s"] / peer["decode_gb_s"] if peer else None
            times = f"{row['times_hyperprior']:.0f}x" if peer else ""
            print(
                f"{name:14}{'klt':12}{aim:>7g}{row['bits']:>13.3f}{row['decode_gb_s']:>13.3f}"
                f"{row['encode_gb_s']:>13.3f}{row['fit_s']:>13.1f}{times:>13}",
                flush=True,
            )
            rows.append(row)
    print(json.dumps({"machine": machine(), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
