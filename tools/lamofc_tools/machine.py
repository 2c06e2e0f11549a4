"""The conditions of a measurement: machine, versions and commit; and the median time of some work."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import cache, partial
from importlib import metadata
from pathlib import Path

_MEASURED_PACKAGES = ("lamofc-store", "torch", "numpy", "numba", "zarr", "duckdb", "pyarrow", "compressai")


def machine() -> str:
    """Describe this machine: processor, the cores that this process may use, memory and system."""
    model = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        lines = described.read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {cores} cores, {memory:.0f} GiB, {platform.system()}"


def gpu() -> str | None:
    """Name the GPU that codecs use; None where there is none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


@cache
def is_slow_in_bfloat16(device: str) -> bool:
    """Say whether a device convolves in bfloat16 more slowly than in float32: a CPU without instructions for it does.

    Such a one takes 20 to 150 times as long.
    """
    import torch

    if torch.device(device).type != "cpu":
        return False
    planes, kernel = torch.ones(1, 64, 16, 16), torch.ones(64, 64, 3, 3)
    plain, half = (
        median_seconds(partial(torch.conv2d, planes.to(dtype), kernel.to(dtype)), 3)
        for dtype in (torch.float32, torch.bfloat16)
    )
    return half > 2 * plain


def versions() -> dict[str, str]:
    """List the versions of Python and of the installed packages on which measurements depend."""
    installed = {package.name: package.version for package in metadata.distributions()}
    return {
        "python": platform.python_version(),
        **{name: installed[name] for name in _MEASURED_PACKAGES if name in installed},
    }


def commit() -> str | None:
    """Return the git commit of this source tree, marked `-dirty` where files are changed; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return described.stdout.strip() or None


def median_seconds(work: Callable[[], object], rounds: int, *, warm: bool = True) -> float:
    """Time some work: the median over rounds, after one untimed round unless `warm` is False."""
    if warm:
        work()
    durations = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)
