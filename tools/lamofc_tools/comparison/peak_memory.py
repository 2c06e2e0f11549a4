"""Peak memory of coding: on the host above that of a fresh process that has coded something small (Linux only), on a
GPU all that is allocated, what the codec keeps there included. Programs that a codec runs, such as ffmpeg, are counted
whole.

Encoding and decoding are measured in separate processes, since the second could otherwise reuse the memory that the
first has freed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lamofc_codecs import Profile, UnsupportedInput, known_vtm

_MEASURE = """
import json, sys, time, torch
from pathlib import Path
from safetensors.torch import load_file
from lamofc_codecs import Profile, decode, encode, register_vtm
def resident(name):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(name + ":")[1].split()[0])
def measure(work):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = resident("VmRSS"), time.perf_counter()
    result = work()
    return result, {"added_bytes": resident("VmHWM") - before, "seconds": time.perf_counter() - started}
folder = Path(sys.argv[1])
for encoder in json.loads((folder / "vtm.json").read_text()):
    register_vtm(encoder)
profile = Profile.load(folder / "profile.safetensors")
"""
_ENCODE = """
small = encode([load_file(folder / "small.safetensors")["x"]], profile)[0]
record, cost = measure(lambda: encode([load_file(folder / "large.safetensors")["x"]], profile)[0])
(folder / "small.bin").write_bytes(small.data)
(folder / "large.bin").write_bytes(record.data)
rate, error = 8 * len(record.data) / record.elements, record.sse / record.elements
print(json.dumps({**cost, "codec": record.codec, "bpfp": rate, "mse": error}))
"""
_DECODE = """
decode([(folder / "small.bin").read_bytes()], profile)
data = (folder / "large.bin").read_bytes()
out = [torch.zeros(*map(int, sys.argv[2:])).fill_(1.0)] if sys.argv[2:] else None
_, cost = measure(lambda: decode([data], profile, out=out))
print(json.dumps(cost))
"""
_GPU = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import load_file
from lamofc_codecs import Profile, decode, encode
folder = Path(sys.argv[1])
profile = Profile.load(folder / "profile.safetensors")
def coded(name):
    return encode([load_file(folder / name)["x"]], profile, device="cuda")[0].data
small = coded("small.safetensors")
torch.cuda.reset_peak_memory_stats()
large = coded("large.safetensors")
peaks = {"encode_gpu_bytes": torch.cuda.max_memory_allocated()}
decode([small], profile, device="cuda")
torch.cuda.empty_cache()
torch.cuda.reset_peak_memory_stats()
result = decode([large], profile, device="cuda")
torch.cuda.synchronize()
print(json.dumps({**peaks, "decode_gpu_bytes": torch.cuda.max_memory_allocated()}))
"""
_INTERVAL = 0.005
"""Seconds between two looks at the programs that are run."""
_SMALL_TOKENS = 64
"""Tokens of the tensor that is coded before the measurement."""


def coding_memory(profile: Profile, tensor: Tensor) -> dict[str, Any]:
    """Measure the bytes of encoding and of decoding, source and output included; with rate, error and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        _save(profile, tensor, Path(folder))
        encoding, decoding = _run(_MEASURE + _ENCODE, folder), _run(_MEASURE + _DECODE, folder)
    figures = {name: encoding[name] for name in ("codec", "bpfp", "mse")}
    for verb, peak in (("encode", encoding), ("decode", decoding)):
        figures |= {f"{verb}_bytes": peak["added_bytes"], f"{verb}_seconds": peak["seconds"]}
    return figures


def gpu_memory(profile: Profile, tensor: Tensor) -> dict[str, int]:
    """Measure the largest number of bytes allocated on a GPU while one tensor is encoded, and decoded; {} without one.

    A codec whose work stays on the CPU allocates nothing to encode.
    """
    if not torch.cuda.is_available():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        _save(profile, tensor, Path(folder))
        return _run(_GPU, folder)


def _save(profile: Profile, tensor: Tensor, folder: Path) -> None:
    """Write a profile, a tensor and its first tokens."""
    profile.save(folder / "profile.safetensors")
    save_file({"x": tensor.contiguous()}, folder / "large.safetensors")
    save_file({"x": tensor[:_SMALL_TOKENS].clone()}, folder / "small.safetensors")


def decoding_memory(profile: Profile, small: bytes, large: bytes, shape: tuple[int, int]) -> int:
    """Measure the bytes of decoding a large record beside its output, in a process that has decoded a small one."""
    with tempfile.TemporaryDirectory() as folder:
        profile.save(Path(folder) / "profile.safetensors")
        (Path(folder) / "small.bin").write_bytes(small)
        (Path(folder) / "large.bin").write_bytes(large)
        return int(_run(_MEASURE + _DECODE, folder, *map(str, shape))["added_bytes"])


def _run(program: str, folder: str, *arguments: str) -> dict[str, Any]:
    """Run a program on the files in a folder; the memory of programs that it runs counts as its own."""
    place = Path(folder)
    (place / "vtm.json").write_text(json.dumps([str(encoder) for encoder in known_vtm()]))
    command, children = [sys.executable, "-c", program, folder, *arguments], 0
    with (place / "out").open("w") as out, (place / "errors").open("w") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        try:
            while process.poll() is None:
                children = max(children, sum(map(_peak_of, _descendants(process.pid))))
                time.sleep(_INTERVAL)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        lines = (place / "errors").read_text(errors="replace").strip().splitlines()
        raise UnsupportedInput(
            f"memory cannot be measured: {lines[-1] if lines else process.returncode}", "measure without memory"
        )
    figures: dict[str, Any] = json.loads((place / "out").read_text())
    if "added_bytes" in figures:
        figures["added_bytes"] += children
    return figures


def _descendants(process: int) -> list[int]:
    """Return the programs that a process started, and those that they did.

    A child has its parent's memory and command line until it begins its program, and is not counted before.
    """
    found: list[int] = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                if _command_of(child) != _command_of(process):
                    found += [child, *_descendants(child)]
    return found


def _command_of(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def _peak_of(process: int) -> int:
    """Return the most bytes that a process has had; 0 for one that has ended."""
    with suppress(OSError):
        held = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{process}/status").read_text())
        return 1024 * int(held[1]) if held else 0
    return 0
