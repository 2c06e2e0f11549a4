"""What decoding one large tensor takes of memory beside its output: `tools/bench memory`.

A fresh process decodes a small record by the same profile, and then one of 3141 x 4096; told is how far above what it
held before, output included, its resident set goes (Linux only). The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from lamofc_codecs import Quality, encode, fit
from lamofc_tools.benchmarks.codecs import cpu
from lamofc_tools.comparison import beside
from lamofc_tools.machine import machine


def peak(tokens: int, channels: int, aim: float) -> dict[str, float]:
    """Bytes that one record's decoding adds to a process that has decoded before."""
    train = cpu.features(channels, 6, 1)
    profile = fit("klt", train, Quality(snr_db=aim), means=0, components=min(channels, cpu.COMPONENTS))
    tensor = train[0].repeat(-(-tokens // len(train[0])), 1)[:tokens].contiguous()
    small, large = encode([train[0][:64], tensor], profile)
    if large.codec != "klt":
        raise AssertionError(f"{tokens} x {channels} at {aim} dB was not coded by klt")
    added = beside(profile, small.data, large.data, (tokens, channels))
    return {"output_bytes": 4 * tokens * channels, "record_bytes": len(large.data), "added_bytes": added}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tokens", type=int, default=3141, metavar="N")
    parser.add_argument("--channels", type=int, default=4096, metavar="N")
    parser.add_argument("--aim", type=float, default=10.0, metavar="DB", help="signal to noise")
    chosen = parser.parse_args(arguments)
    found = peak(chosen.tokens, chosen.channels, chosen.aim)
    print(machine())
    sizes = [found[name] / 1e6 for name in ("record_bytes", "output_bytes", "added_bytes")]
    print(f"{chosen.tokens} x {chosen.channels} at {chosen.aim:g} dB: a record of {sizes[0]:.2f} MB,", end=" ")
    print(f"an output of {sizes[1]:.1f} MB, and {sizes[2]:.1f} MB beside it at the peak")
    print(json.dumps({"machine": machine(), **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
