"""crc32c: the values of google-crc32c, by the processor's instruction and by tables, at every length and offset."""

import os
import subprocess
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from lamofc_codecs.runtime import checksum

ROOT = str(Path(__file__).parents[3] / "codecs")
BYTES = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8)
LENGTHS = [*range(0, 40), 127, 383, 384, 385, 3071, 3072, 3073, 3072 + 384 + 9, 8192, 19_990]


@pytest.mark.parametrize("span", [checksum._by_table, checksum.crc32c_span], ids=["table", "chosen"])
def test_spans_agree_with_google(span: object) -> None:
    for length in LENGTHS:
        for start in (0, 1, 7):
            expected = google_crc32c.value(BYTES[start : start + length].tobytes())
            assert span(BYTES, start, start + length, np.uint32(0)) == expected, (length, start)  # type: ignore[operator]


@pytest.mark.slow
def test_a_processor_without_the_instruction() -> None:
    """Numba told to compile for any processor: the tables take over, and the coder's vectors still come out right."""
    program = """
import numpy as np
from lamofc_codecs.entropy.rans import decode_symbols, encode_symbols
from lamofc_codecs.entropy.tables import sigma_tables
from lamofc_codecs.runtime import checksum, intrinsics
assert intrinsics.CRC32C == "" and checksum.crc32c_span is checksum._by_table
symbols = np.arange(20_000, dtype=np.uint8) % 20
coded = encode_symbols(symbols, 40, sigma_tables())
assert coded == encode_symbols(symbols, 40, sigma_tables(), backend="reference")
assert (decode_symbols(coded, 20_000, 40, sigma_tables()) == symbols).all()
print(hex(checksum.crc32c(b"123456789")))
"""
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PYTHONPATH": ROOT}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "0xe3069283", done.stderr[-2000:]


def test_the_check_value_of_the_polynomial() -> None:
    assert checksum.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)])
def test_kinds_of_bytes(kind: type) -> None:
    assert checksum.crc32c(kind(b"123456789")) == 0xE3069283


def test_going_on_from_a_crc() -> None:
    data = BYTES[:5000].tobytes()
    for cut in (0, 1, 8, 384, 4999, 5000):
        assert checksum.crc32c(data[cut:], checksum.crc32c(data[:cut])) == google_crc32c.value(data)


def test_one_flipped_bit_is_seen() -> None:
    data = bytearray(BYTES[:4000].tobytes())
    whole = checksum.crc32c(data)
    for bit in range(0, 32_000, 997):
        data[bit // 8] ^= 1 << bit % 8
        assert checksum.crc32c(data) != whole
        data[bit // 8] ^= 1 << bit % 8
