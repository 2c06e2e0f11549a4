"""The last step by one kernel: the bits of the CPU, interpreted; and it compiles for a GPU without fused operations."""

from pathlib import Path

import pytest

from tests.codecs.other_interpreter import run

pytest.importorskip("triton", reason="Triton is not installed")

GOLDENS = Path(__file__).parents[2] / "goldens"

INTERPRETED = """
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
import torch
from lamofc_codecs import Profile, decode
from lamofc_codecs.klt.gpu import finish_kernel, symbols
from lamofc_codecs.record.framing import parse
from lamofc_codecs.runtime import devices

devices.ACCELERATORS = devices.TRITON = ("cpu",)
symbols.devices = SimpleNamespace(TRITON=())  # streams by the compiled loop
launches, finish = [], finish_kernel.finish
def counted(*given):
    launches.append(given)
    return finish(*given)
finish_kernel.finish = counted
finish_kernel.BLOCK_TOKENS, finish_kernel.BLOCK_CHANNELS = 16, 64
for folder in sorted(Path(GOLDENS).glob("klt-*")):
    profile = Profile.load(folder / "profile.safetensors")
    record = (folder / "record.bin").read_bytes()
    header = parse(record)
    records = [record[:end] for end in accumulate(header.lengths, initial=header.size)][1:]
    devices.ACCELERATORS = ()
    expected = decode(records, profile)
    devices.ACCELERATORS = ("cpu",)
    launches.clear()
    found = decode(records, profile, device="cpu")
    assert bool(launches) == any(tensor.numel() for tensor in expected), folder.name
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        alike = one.contiguous().view(torch.uint8) == other.contiguous().view(torch.uint8)
        assert bool(alike.all()), folder.name
    print(folder.name)
"""

COMPILED = """
import re
import triton
from cubin import usage
from lamofc_codecs.klt.gpu.finish_kernel import BLOCK_CHANNELS, BLOCK_TOKENS, finish_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

kinds = {"sums": "*i32", "index": "*i32", "typical": "*i8", "count": "i32", "channels": "i32"}
kinds |= {name: "constexpr" for name in ("TYPICAL", "DIVIDED", "TOKENS", "CHANNELS")}
kinds = {name: kinds.get(name, "*fp32") for name in finish_kernel.arg_names}
for typical, divided in ((False, False), (True, False), (True, True)):
    chosen = {"TYPICAL": typical, "DIVIDED": divided, "TOKENS": BLOCK_TOKENS, "CHANNELS": BLOCK_CHANNELS}
    source = ASTSource(finish_kernel, kinds, chosen)
    for capability in (80, 90, 100):
        for fused in (False, True):
            options = {"enable_fp_fusion": fused}
            made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
            count = len(re.findall(r"fma\\.rn\\.f32", made.asm["ptx"]))
            print(capability, fused, count, *usage(made.asm["cubin"]))
"""


def test_every_golden_with_every_prefix_of_it() -> None:
    program = f"GOLDENS = {str(GOLDENS)!r}\n{INTERPRETED}"
    expected = sorted(folder.name for folder in GOLDENS.glob("klt-*"))
    assert len(expected) > 20
    assert run(program, TRITON_INTERPRET="1").split() == expected


@pytest.mark.slow
def test_it_compiles_without_fused_operations() -> None:
    lines = [line.split() for line in run(COMPILED, TRITON_INTERPRET="0").splitlines()]
    assert len(lines) == 18
    for _, fused, count, registers, stack in lines:
        assert (int(count) > 0) == (fused == "True")  # else the count would say nothing
        assert 0 < int(registers) <= 128 and int(stack) == 0
