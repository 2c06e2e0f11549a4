"""What a learned codec takes of memory by tiles: `tools/bench tiles SOURCE WEIGHTS`.

One large sample, two planes one below the other as DINOv3 has for segmentation, is laid out from tokens of the source.
For each tile size a fresh process codes a small sample, then encodes and decodes the large one; told is how far above
what it held before its resident set goes, source and output included (Linux only). The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import Profile, fit
from lamofc_store.sample import pattern_for, to_tokens
from lamofc_tools.comparison import peak
from lamofc_tools.machine import machine


def laid_out(path: str, tokens: int, channels: int) -> Tensor:
    """Tokens of a source's first feature, texts side by side, until there are enough channels."""
    found = []
    for sample in lamofc.sources.open(path):
        name, tensor = next(iter(sample.features.items()))
        found.append(to_tokens(tensor, pattern_for(name, tuple(tensor.shape), {})).to(torch.float32))
    rows = torch.cat(found)
    blocks = -(-channels // rows.shape[1])
    wanted = torch.arange(tokens * blocks) % len(rows)
    return rows[wanted].view(blocks, tokens, -1).transpose(0, 1).flatten(1)[:, :channels].contiguous()


def measure(weights: Profile, source: Tensor, tile: int) -> dict[str, Any]:
    """One tile size."""
    profile = fit(weights.codec, [source[: len(source) // 8]], weights=weights, tile=tile)
    return {"tile": tile, **peak(profile, source)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench tiles", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", help="a folder or a file of features")
    parser.add_argument("weights", type=Path, help="trained weights")
    parser.add_argument("--tiles", default="256,512,1024", metavar="N,...", help="multiples of 64; 0 for all")
    parser.add_argument("--planes", type=int, default=2, metavar="N")
    parser.add_argument("--tokens", type=int, default=3141, metavar="N", help="of each plane")
    parser.add_argument("--channels", type=int, default=4096, metavar="N")
    chosen = parser.parse_args(arguments)
    source = laid_out(chosen.source, chosen.planes * chosen.tokens, chosen.channels)
    weights = Profile.load(chosen.weights)
    print(f"{machine()}; {weights.codec} {dict(weights.config)}")
    print(f"{chosen.planes} x {chosen.tokens} x {chosen.channels}: {source.nbytes / 1e6:.0f} MB")
    print(f"{'tile':>6}{'bpfp':>9}{'mse':>11}{'encode MB':>11}{'decode MB':>11}{'encode s':>10}{'decode s':>10}")
    rows = []
    for tile in map(int, chosen.tiles.split(",")):
        row = measure(weights, source, tile)
        rows.append(row)
        sizes = [row[name] / 1e6 for name in ("encode_bytes", "decode_bytes")]
        print(f"{tile or 'whole':>6}{row['bpfp']:9.4f}{row['mse']:11.4g}{sizes[0]:11.0f}{sizes[1]:11.0f}", end="")
        print(f"{row['encode_seconds']:10.1f}{row['decode_seconds']:10.1f}", flush=True)
    print(json.dumps({"machine": machine(), "source_bytes": source.nbytes, "weights": weights.id, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
