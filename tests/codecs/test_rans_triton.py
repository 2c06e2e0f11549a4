"""The GPU form: the same symbols and verdicts from the same bytes, interpreted on the CPU; and it compiles for a GPU.

Triton reads TRITON_INTERPRET when it is imported, so the interpreter runs in a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed")

ROOTS = os.pathsep.join(str(Path(__file__).parents[2] / root) for root in ("codecs", "tests/codecs"))

INTERPRETED = """
import numpy as np
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.rans import decode_symbols
from lamofc_codecs.rans_reference import encode_block
from lamofc_codecs.tables import sigma_tables

frozen, rng = sigma_tables(), np.random.default_rng(0)

def outcome(data, count, rows, backend):
    try:
        return decode_symbols(data, count, rows, frozen, backend=backend).tobytes()
    except CorruptRecord as error:
        return error.message

for count, lanes, streams in ((1, 1, 1), (33, 1, 1), (600, 4, 2), (3000, 16, 5), (6000, 32, 3)):
    rows = np.sort(rng.integers(0, 48, -(-count // 32))).astype(np.uint16)
    symbols = (frozen.slots[np.repeat(rows, 32)[:count], rng.integers(0, 4096, count)] & 0xFF).astype(np.uint8)
    data = encode_block(symbols, rows, frozen, lanes, streams)
    assert outcome(data, count, rows, "triton") == symbols.tobytes()
    for trial in range(4 if count < 1000 else 1):
        damaged = bytearray(data)
        damaged[rng.integers(max(1, len(data) - 40), len(data))] ^= 16
        wrong = outcome(bytes(damaged), count, rows, "numba")
        assert isinstance(wrong, str), "the damage was not seen"
        assert outcome(bytes(damaged), count, rows, "triton") == wrong
    assert outcome(data[:-2], count, rows, "triton") == outcome(data[:-2], count, rows, "numba")
print("same")
"""

COMPILED = """
import triton
from lamofc_codecs.rans_triton import WARPS, decode_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

kinds = {"buffer": "*u8", "streams": "*i64", "row_tables": "*i32", "slots": "*i32", "out": "*u8", "wrong": "*i32"}
source = ASTSource(decode_kernel, kinds | {"count": "i32", "STREAMS": "constexpr"}, {"STREAMS": WARPS})
for capability in (80, 90):
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": WARPS})
    print(capability, len(made.asm["cubin"]))
"""


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONPATH": ROOTS, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_interpreted_kernel_equals_the_cpu() -> None:
    assert run(INTERPRETED, TRITON_INTERPRET="1").strip() == "same"


@pytest.mark.slow
def test_kernel_compiles_without_a_gpu() -> None:
    lines = run(COMPILED, TRITON_INTERPRET="0").split("\n")
    assert [line.split()[0] for line in lines if line] == ["80", "90"]
    assert all(int(line.split()[1]) > 1000 for line in lines if line)
