"""Measure how fast batches of `klt` records decode on a GPU.

Decoding goes from bytes on the host to float32 on the device, many records in one call, on the synthetic features of
`tools/bench cpu`. It is compared with a copy of the same floats from the host, with CompressAI's Hyperprior (weights
not trained) where that is installed, and with the CPU decoder. B_max is the rate of a link below which sending records
takes less time than sending float32: (difference in bits) / (seconds to encode and decode).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_store.errors import StoreError
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names, numbers
from lamofc_tools.benchmarks.hyperprior import UntrainedHyperprior
from lamofc_tools.machine import median_seconds

BATCH, FIT_SAMPLES = 64, 16
RESULTS = Path(__file__).parents[1] / "results"
COLUMNS = (
    Column("shape", "shape", "<16"),
    Column("aim_db", "target dB", ">9"),
    Column("bits", "bits", ">8.4g"),
    Column("decode_gb_s", "decode GB/s", ">12.4g"),
    Column("cpu_decode_gb_s", "on the CPU", ">12.4g"),
    Column("hyperprior_gb_s", "hyperprior", ">12.4g"),
    Column("copy_gb_s", "copy GB/s", ">12.4g"),
    Column("b_max_gbit_s", "B_max Gbit/s", ">13.4g"),
    Column("missed", "remark", "<26"),
)
UNITS = {
    "aim_db": "dB",
    "bits": "bits per element",
    "decode_gb_s": "GB/s of float32",
    "cpu_decode_gb_s": "GB/s of float32",
    "encode_gb_s": "GB/s of float32",
    "hyperprior_gb_s": "GB/s of float32",
    "copy_gb_s": "GB/s of float32",
    "b_max_gbit_s": "Gbit/s",
    "peak_bytes_for_each_of_output": "bytes per byte of output",
}


def synchronised(device: torch.device, work: Callable[[], object]) -> Callable[[], None]:
    """Wrap some work so that it returns when the device has finished."""

    def synchronised_work() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return synchronised_work


def row_of(shape: str, target_db: float, device: torch.device, count: int, rounds: int) -> dict[str, Any]:
    """Measure one shape at one signal-to-noise ratio."""
    components = min(synthetic.SHAPES[shape], synthetic.COMPONENTS)
    train = synthetic.synthetic_features(shape, FIT_SAMPLES, 1)
    profile = fit("klt", train, Quality(snr_db=target_db), means=0, components=components)
    tensors = synthetic.synthetic_features(shape, count, 2)
    records = encode(tensors, profile)
    if any(record.codec != "klt" for record in records):
        return {"shape": shape, "aim_db": target_db, "missed": f"{components} columns are too few"}
    data = [record.data for record in records]
    bits, size = 8 * sum(map(len, data)), sum(tensor.nbytes for tensor in tensors)
    encoding = median_seconds(lambda: encode(tensors[:8], profile), 3) * count / 8
    decode_batch = synchronised(device, lambda: decode(data, profile, device=device))
    decoding = median_seconds(decode_batch, rounds)
    copying = median_seconds(synchronised(device, lambda: [tensor.to(device) for tensor in tensors]), rounds)
    return {
        "shape": shape,
        "aim_db": target_db,
        "records": count,
        "bits": bits / (size / 4),
        "decode_gb_s": size / decoding / 1e9,
        "cpu_decode_gb_s": size / median_seconds(lambda: decode(data, profile), 3) / 1e9,
        "encode_gb_s": size / encoding / 1e9,
        "b_max_gbit_s": (8 * size - bits) / (encoding + decoding) / 1e9,
        "copy_gb_s": size / copying / 1e9,
        **_peak_memory(device, decode_batch, size),
        **_kernel_shares(device, decode_batch, decoding),
    }


def _peak_memory(device: torch.device, work: Callable[[], None], size: int) -> dict[str, float]:
    """Measure the peak of the device's allocator, per byte of output."""
    if device.type != "cuda":
        return {}
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return {"peak_bytes_for_each_of_output": torch.cuda.max_memory_allocated(device) / size}


def _kernel_shares(device: torch.device, work: Callable[[], None], duration: float) -> dict[str, float]:
    """Measure the share of the time in each kind of kernel; the device waits for the host and for copies otherwise."""
    if device.type != "cuda":
        return {}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        work()
    spent = {"entropy": 0.0, "products": 0.0, "other": 0.0}
    for event in profiler.key_averages():
        part = "entropy" if "decode_kernel" in event.key else "products" if "gemm" in event.key.lower() else "other"
        spent[part] += float(event.self_device_time_total) / 1e6
    shares = {f"{part}_share": seconds / duration for part, seconds in spent.items()}
    return {**shares, "waiting_share": max(0.0, 1 - sum(shares.values()))}


def hyperprior_speed(shape: str, device: torch.device, rounds: int) -> float | None:
    """Measure the GB/s at which CompressAI's Hyperprior decodes one tensor; None where it is not installed."""
    if not UntrainedHyperprior.available():
        return None
    channels = synthetic.SHAPES[shape]
    model = UntrainedHyperprior(synthetic.TOKENS, channels, device)
    return 4 * synthetic.TOKENS * channels / median_seconds(synchronised(device, model.decode), rounds) / 1e9


def find_device(name: str) -> torch.device:
    """Return the device of that name, or raise where it does not exist."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise StoreError("there is no CUDA device here", "tools/bench cpu")
    return device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--device", default="cuda", help="device to decode on")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of each measurement")
    parser.add_argument("--aims", type=numbers, default="5,10,20", metavar="DB,...", help="signal-to-noise ratios, dB")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help="records in one call")
    parser.add_argument("--shapes", type=names, default=",".join(synthetic.SHAPES), metavar="SHAPE,...", help="shapes")
    parser.add_argument(
        "--save", action="store_true", help="write the document to tools/lamofc_tools/benchmarks/results as well"
    )


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every shape at every signal-to-noise ratio."""
    device = find_device(arguments.device)
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    if arguments.save:
        report.files.append(RESULTS / f"gpu-{device_name.lower().replace(' ', '-')}.json")
    report.line(device_name)
    report.table(COLUMNS)
    rows: list[dict[str, Any]] = []
    for shape in arguments.shapes:
        reference = hyperprior_speed(shape, device, max(1, arguments.rounds // 3))
        for target in arguments.aims:
            row = row_of(shape, target, device, arguments.batch, arguments.rounds)
            rows.append(row if reference is None else {**row, "hyperprior_gb_s": reference})
            report.row(rows[-1])
    return {"device": device_name, "torch": torch.__version__, "rows": rows}


BENCHMARK = Benchmark("gpu", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
