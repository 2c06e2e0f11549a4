"""Damaged records under right checksums: each raises a clear error or decodes to something, and nothing crashes."""

from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from lamofc_codecs import CodecError, Profile, decode, inspect
from lamofc_codecs.record.framing import pack, sections
from lamofc_codecs.runtime import devices
from lamofc_tools.generate.make_goldens import cases

GOLDENS = sorted(path for path in (Path(__file__).parent / "goldens").iterdir() if path.is_dir())
SOME, MANY = 2000, 100_000


def damaged(section: bytes, draw: np.random.Generator) -> bytes:
    """A section with some of its bytes changed, cut off, doubled, or with others at its end."""
    data = bytearray(section)
    for _ in range(int(draw.integers(1, 4))):
        if not data:
            return draw.bytes(int(draw.integers(0, 9)))
        at = int(draw.integers(len(data)) if draw.random() < 0.5 else draw.integers(min(24, len(data))))
        match int(draw.integers(6)):
            case 0:
                data[at] ^= 1 << int(draw.integers(8))
            case 1:
                data[at] = int(draw.choice([0, 1, 127, 128, 255]))
            case 2:
                del data[at : at + int(draw.integers(1, 9))]
            case 3:
                data[at:at] = draw.bytes(int(draw.integers(1, 9)))
            case 4:
                data = data[:at]
            case _:
                data[at : at + 4] = draw.bytes(4)
    return bytes(data)


@cache
def golden_records() -> list[tuple[Profile, bytes]]:
    """Every golden record with its profile, which is fitted anew where numbers depend on the machine."""
    made_anew = {case.name: case for case in cases() if case.promise == "numbers"}
    loaded = []
    for path in GOLDENS:
        case, file = made_anew.get(path.name), path / "profile.safetensors"
        loaded.append((case.profile() if case else Profile.load(file), (path / "record.bin").read_bytes()))
    return loaded


def decode_damaged(count: int, seed: int) -> tuple[int, int]:
    """How many damaged records were refused, and how many were decoded."""
    draw = np.random.default_rng(seed)
    refused = decoded = 0
    loaded = golden_records()
    for number in range(count):
        profile, record = loaded[number % len(loaded)]
        header = inspect(record)
        parts = [bytes(part) for part in sections(record, header)]
        for hit in draw.integers(len(parts), size=int(draw.integers(1, 3))):
            parts[hit] = damaged(parts[hit], draw)
        kept = parts[: int(draw.integers(1, len(parts) + 1))]
        made = pack(header.number, header.profile, header.grid, [[part] for part in kept])
        try:
            found = decode([made], profile, device="cpu")
        except CodecError as error:
            assert error.message and "\n" not in error.message
            refused += 1
        else:
            assert len(found) == header.items * header.parts
            decoded += 1
    return refused, decoded


def test_damage_under_right_checksums_is_refused_or_decoded() -> None:
    refused, decoded = decode_damaged(SOME, 1)
    assert refused > SOME / 4
    assert decoded > SOME / 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_much_damage_under_right_checksums() -> None:
    refused, decoded = decode_damaged(MANY, 2)
    assert refused + decoded == MANY


def test_batches_judge_damage_as_single_records_do() -> None:
    with patch.object(devices, "ACCELERATORS", ("cpu",)):
        together = decode_damaged(SOME // 4, 3)
    assert together == decode_damaged(SOME // 4, 3)
