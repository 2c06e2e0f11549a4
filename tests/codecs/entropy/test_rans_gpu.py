"""The GPU form: the symbols and verdicts of the CPU from the same bytes, interpreted; and it compiles for a GPU."""

from pathlib import Path

import pytest

from tests.codecs.other_interpreter import run

pytest.importorskip("triton", reason="Triton is not installed")

INTERPRETED = """
import numpy as np
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.entropy.rans import decode_symbols, encode_symbols
from lamofc_codecs.entropy.rans_reference import encode_block
from lamofc_codecs.entropy.rans_layout import first_symbols, frame
from lamofc_codecs.entropy.rans_gpu import encode_streams
from lamofc_codecs.entropy.tables import sigma_tables

frozen, rng = sigma_tables(), np.random.default_rng(0)

def outcome(data, count, rows, backend):
    try:
        return decode_symbols(data, count, rows, frozen, backend=backend).tobytes()
    except CorruptRecord as error:
        return error.message

for count, lanes, streams in DECODED:
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
    if count < 1000:
        coded = encode_symbols(symbols, rows, frozen)
        assert encode_symbols(symbols, rows, frozen, backend="triton") == coded
for count, lanes, streams in ENCODED:
    flat, used = symbols[:count], rows[: -(-count // 32)]
    packed, sizes = encode_streams(flat, first_symbols(count, streams), used, frozen, lanes)
    assert frame(lanes, sizes, packed.tobytes()) == encode_block(flat, used, frozen, lanes, streams)
print("same")
"""

WHOLE = """
from pathlib import Path
from lamofc_codecs import Profile, decode
from lamofc_codecs.runtime import devices

profile = Profile.load(FOLDER + "/profile.safetensors")
record = Path(FOLDER, "record.bin").read_bytes()
expected = decode([record, record], profile)
devices.ACCELERATORS = devices.TRITON = ("cpu",)
found = decode([record, record], profile, device="cpu")
assert len(found) == len(expected) and all(map(lambda a, b: a.equal(b), found, expected))
print("same")
"""

COMPILED = """
import triton
from cubin import usage
from lamofc_codecs.entropy.rans_gpu import STREAMS_PER_PROGRAM, decode_kernel, encode_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

words = {name: "*i32" for name in ("row_tables", "slots", "wrong", "codes")}
places = {"streams": "*i64", "starts": "*i64", "count": "i32", "STREAMS": "constexpr"}
for kernel in (decode_kernel, encode_kernel):
    kinds = {name: (words | places).get(name, "*u8") for name in kernel.arg_names}
    source = ASTSource(kernel, kinds, {"STREAMS": STREAMS_PER_PROGRAM})
    for capability in (80, 90, 100):
        target, options = GPUTarget("cuda", capability, 32), {"num_warps": STREAMS_PER_PROGRAM}
        made = triton.compile(source, target=target, options=options)
        cubin = made.asm["cubin"]
        print(kernel.__name__, capability, len(cubin), *usage(cubin))
"""


SIZES = {
    "small": (((1, 1, 1), (33, 1, 1), (300, 4, 2)), ((130, 1, 3), (300, 4, 2))),
    "large": (((600, 4, 2), (3000, 16, 5), (6000, 32, 3)), ((700, 4, 2), (2000, 32, 2))),
}
"""Symbols, lanes and streams that are decoded and encoded."""


@pytest.mark.parametrize("size", ["small", pytest.param("large", marks=pytest.mark.slow)])
def test_interpreted_kernel_equals_the_cpu(size: str) -> None:
    decoded, encoded = SIZES[size]
    program = f"DECODED, ENCODED = {decoded!r}, {encoded!r}\n{INTERPRETED}"
    assert run(program, TRITON_INTERPRET="1").strip() == "same"


def test_whole_records_by_the_interpreted_kernel() -> None:
    folder = Path(__file__).parents[1] / "goldens/klt-items"
    assert run(f"FOLDER = {str(folder)!r}\n{WHOLE}", TRITON_INTERPRET="1").strip() == "same"


@pytest.mark.slow
def test_kernels_compile_without_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in run(COMPILED, TRITON_INTERPRET="0").splitlines()]
    assert [(line[0], line[1]) for line in lines] == [
        (kernel, chip) for kernel in ("decode_kernel", "encode_kernel") for chip in ("80", "90", "100")
    ]
    with capsys.disabled():
        for kernel, chip, size, registers, stack in lines:
            print(f"\n{kernel} sm_{chip}: {size} bytes, {registers} registers, {stack} bytes on the stack", end="")
    for *_, size, registers, stack in lines:
        assert int(size) > 1000
        assert 0 < int(registers) <= 128
        assert int(stack) == 0
