"""How much memory coding one tensor takes, above what a fresh process holds that has coded a small one (Linux only)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from lamofc_codecs import Profile

_CHILD = """
import json, sys, time
from pathlib import Path
from safetensors.torch import load_file
from lamofc_codecs import Profile, decode, encode
def held(name):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(name + ":")[1].split()[0])
def measured(work):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = held("VmRSS"), time.perf_counter()
    found = work()
    return found, held("VmHWM") - before, time.perf_counter() - started
folder = Path(sys.argv[1])
profile = Profile.load(folder / "profile.safetensors")
small = load_file(folder / "small.safetensors")["x"]
decode([encode([small], profile)[0].data], profile)
def coded():
    return encode([load_file(folder / "source.safetensors")["x"]], profile)[0]
record, encoding, seconds = measured(coded)
_, decoding, later = measured(lambda: decode([record.data], profile))
print(json.dumps({
    "codec": record.codec, "bpfp": 8 * len(record.data) / record.elements, "mse": record.sse / record.elements,
    "encode_bytes": encoding, "decode_bytes": decoding, "encode_seconds": seconds, "decode_seconds": later,
}))
"""
_SMALL = 64
"""Tokens of what is coded first."""


def peak(profile: Profile, tensor: Tensor) -> dict[str, Any]:
    """Bytes of encoding and of decoding, source and output included; with rate, error and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        profile.save(Path(folder) / "profile.safetensors")
        save_file({"x": tensor.contiguous()}, Path(folder) / "source.safetensors")
        save_file({"x": tensor[:_SMALL].clone()}, Path(folder) / "small.safetensors")
        ran = subprocess.run([sys.executable, "-c", _CHILD, folder], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found
