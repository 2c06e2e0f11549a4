"""How fast batches of `klt` records decode on a GPU: `tools/bench gpu`.

From bytes on the host to float32 on the device, many records in one call, features drawn as in `tools/bench cpu`.
Beside it: the entropy decoder alone, a copy of the same floats from the host and one within the device, CompressAI's
Hyperprior (its weights untrained) where that is installed, and the CPU's own decoder. B_max is the rate of a link
below which sending records takes less time than sending float32: (bits of both apart) / (seconds to code and decode).
With `--save` the JSON document is kept in tools/lamofc_tools/benchmarks/results. The last line is that document.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_tools.benchmarks.codecs import cpu
from lamofc_tools.machine import machine, seconds

BATCH, FITTED = 64, 16
RESULTS = Path(__file__).parents[1] / "results"


def finished(device: torch.device, work: Callable[[], object]) -> Callable[[], None]:
    """The same work, and the device done with it."""

    def whole() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return whole


def row_of(name: str, aim: float, device: torch.device, count: int, rounds: int) -> dict[str, Any]:
    """One shape at one aim, figures in GB/s of float32."""
    components = min(cpu.SHAPES[name], cpu.COMPONENTS)
    profile = fit("klt", cpu.drawn(name, FITTED, 1), Quality(snr_db=aim), means=0, components=components)
    tensors = cpu.drawn(name, count, 2)
    records = encode(tensors, profile)
    if any(record.codec != "klt" for record in records):
        return {"shape": name, "aim_db": aim, "missed": f"{components} columns are too few"}
    data = [record.data for record in records]
    bits, size = 8 * sum(map(len, data)), sum(tensor.nbytes for tensor in tensors)
    coding = seconds(lambda: encode(tensors[:8], profile), 3) * count / 8
    decoding = seconds(finished(device, lambda: decode(data, profile, device=device)), rounds)
    return {
        "shape": name,
        "aim_db": aim,
        "records": count,
        "bits": bits / (size / 4),
        "decode_gb_s": size / decoding / 1e9,
        "cpu_decode_gb_s": size / seconds(lambda: decode(data, profile), 3) / 1e9,
        "encode_gb_s": size / coding / 1e9,
        "b_max_gbit_s": (8 * size - bits) / (coding + decoding) / 1e9,
        "copy_gb_s": size / seconds(finished(device, lambda: [tensor.to(device) for tensor in tensors]), rounds) / 1e9,
        **_memory(device, lambda: decode(data, profile, device=device), size),
        **_shares(device, lambda: decode(data, profile, device=device), decoding),
    }


def _memory(device: torch.device, work: Callable[[], object], size: int) -> dict[str, float]:
    """The most that the device's allocator holds meanwhile, for each byte of output."""
    if device.type != "cuda":
        return {}
    torch.cuda.reset_peak_memory_stats(device)
    finished(device, work)()
    return {"peak_bytes_for_each_of_output": torch.cuda.max_memory_allocated(device) / size}


def _shares(device: torch.device, work: Callable[[], object], whole: float) -> dict[str, float]:
    """Which share of the time the device spends in each kind of kernel, and the rest: the host and copies."""
    if device.type != "cuda":
        return {}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        finished(device, work)()
    spent = {"entropy": 0.0, "products": 0.0, "other": 0.0}
    for event in profiler.key_averages():
        kind = "entropy" if "decode_kernel" in event.key else "products" if "gemm" in event.key.lower() else "other"
        spent[kind] += float(event.self_device_time_total) / 1e6
    shares = {f"{kind}_share": taken / whole for kind, taken in spent.items()}
    return {**shares, "waiting_share": max(0.0, 1 - sum(shares.values()))}


def hyperprior(name: str, device: torch.device, rounds: int) -> float | None:
    """GB/s at which CompressAI's Hyperprior decodes one tensor on the device."""
    try:
        from compressai.models import ScaleHyperprior
    except ImportError:
        return None
    model = cpu.small_hyperprior(ScaleHyperprior).to(device)
    channels = cpu.SHAPES[name]
    plane = torch.rand(1, 1, -(-cpu.TOKENS // 64) * 64, -(-channels // 64) * 64, device=device)
    with torch.no_grad():
        coded = model.compress(plane)
        work = finished(device, lambda: model.decompress(coded["strings"], coded["shape"]))
        return 4 * cpu.TOKENS * channels / seconds(work, rounds) / 1e9


def shown(row: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [f"{row['shape']:16}{row['aim_db']:>7}"]
    for key in ("bits", "decode_gb_s", "cpu_decode_gb_s", "hyperprior_gb_s", "copy_gb_s", "b_max_gbit_s"):
        cells.append(f"{row[key]:>13.4g}" if row.get(key) is not None else f"{'':>13}")
    return "".join(cells) + f"  {row.get('missed', '')}".rstrip()


def device_of(name: str) -> torch.device:
    """The device of that name, if it is there."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: there is no CUDA device here\ntry: tools/bench cpu")
    return device


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench gpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda", help="where to decode")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of each figure")
    parser.add_argument("--aims", default="5,10,20", metavar="DB,...", help="signal to noise to aim at")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help="records in one call")
    parser.add_argument("--shapes", default=",".join(cpu.SHAPES), metavar="SHAPE,...", help="some of the shapes")
    parser.add_argument(
        "--save", action="store_true", help="keep the document in tools/lamofc_tools/benchmarks/results"
    )
    chosen = parser.parse_args(arguments)
    device = device_of(chosen.device)
    there = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    print(f"{there}; {machine()}")
    heads = ("bits", "decode GB/s", "CPU", "hyperprior", "copy", "B_max Gbit/s")
    print(f"{'shape':16}{'aim dB':>7}" + "".join(f"{head:>13}" for head in heads))
    rows: list[dict[str, Any]] = []
    for name in chosen.shapes.split(","):
        slow = hyperprior(name, device, max(1, chosen.rounds // 3))
        for aim in chosen.aims.split(","):
            row = row_of(name, float(aim), device, chosen.batch, chosen.rounds)
            rows.append(row if slow is None else {**row, "hyperprior_gb_s": slow})
            print(shown(rows[-1]), flush=True)
    document = {"device": there, "machine": machine(), "torch": torch.__version__, "rows": rows}
    if chosen.save:
        RESULTS.mkdir(exist_ok=True)
        kept = RESULTS / f"gpu-{there.lower().replace(' ', '-')}.json"
        kept.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
