"""The framing: what is packed is parsed, prefixes of layers are records, and no damage passes or crashes."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.record.framing import inspect, pack, parse, section, sections
from lamofc_codecs.record.grid import DTYPES, Grid, Partition
from lamofc_codecs.record.packed import Packed, verify
from lamofc_codecs.runtime.checksum import crc32c

ONE = Grid((3,), (5,), ("float32",))
SIX = Grid((3, 0, 9), (5, 7), ("float16", "bool"))
PROFILE = "0123456789abcdef" * 4


def six() -> bytes:
    cuts = [Partition.WHOLE, Partition.ITEM, Partition.PART, Partition.CELL]
    layers = [[bytes([layer]) * (3 * number + layer) for number in range(SIX.sections(layer))] for layer in cuts]
    return pack(7, PROFILE, SIX, layers, cuts)


def sound(record: bytes) -> bool:
    try:
        sections(record, parse(record))
    except CorruptRecord:
        return False
    return True


def verified(record: bytes) -> bool:
    try:
        verify(Packed.of([record]))
    except CorruptRecord:
        return False
    return True


def sealed(record: bytearray, size: int) -> bytes:
    """The same with a right header checksum, so that what the header says is looked at."""
    record[size - 4 : size] = struct.pack("<I", crc32c(bytes(record[: size - 4])))
    return bytes(record)


grids = st.builds(
    lambda tokens, parts: Grid(tuple(tokens), tuple(c for c, _ in parts), tuple(d for _, d in parts)),
    st.lists(st.integers(0, 5000), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(sorted(DTYPES.values()))), min_size=1, max_size=4),
)


@given(grids, st.integers(0, 255), st.sampled_from(["", PROFILE]), st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_packed_is_parsed(grid: Grid, number: int, profile: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.sampled_from(list(Partition)), min_size=1, max_size=4))
    layers = [[data.draw(st.binary(max_size=9)) for _ in range(grid.sections(cut))] for cut in cuts]
    record = pack(number, profile, grid, layers, cuts)
    header = parse(record)
    assert (header.number, header.profile, header.grid) == (number, profile[:32], grid)
    flat = [content for layer in layers for content in layer]
    assert [bytes(content) for content in sections(record, header)] == flat
    assert header.payload_bits == 8 * sum(map(len, flat))
    assert header.stored_bits == 8 * len(record)
    assert sum(header.layer_bytes()) == len(record)
    assert verified(record)


@pytest.mark.parametrize("dtype", sorted(DTYPES.values()))
def test_dtypes(dtype: str) -> None:
    assert inspect(pack(1, "", replace(ONE, dtypes=(dtype,)), [[b""]])).dtype == dtype


def test_the_short_form_costs_45_bytes() -> None:
    assert len(pack(1, PROFILE, ONE, [[b""]])) == 45


def test_the_bytes_of_the_short_form() -> None:
    head = b"LMFC\x01\x09\x00\x01" + bytes.fromhex(PROFILE[:32]) + struct.pack("<BII", 2, 3, 5)
    head += struct.pack("<II", 4, crc32c(b"data"))
    assert pack(9, PROFILE, ONE, [[b"data"]]) == head + struct.pack("<I", crc32c(head)) + b"data"


def test_equal_items_and_parts_are_told_once() -> None:
    grid = Grid((4,) * 100, (8,) * 50, ("int8",) * 50)
    assert len(pack(1, "", grid, [[b""]])) == 24 + 6 + 4 + 5 + 1 + 8 + 4
    assert parse(pack(1, "", grid, [[b""]])).grid == grid


def test_only_prefixes_that_end_with_a_layer_are_records() -> None:
    record = six()
    ends = np.cumsum(parse(record).layer_bytes()).tolist()
    for length in range(len(record)):
        prefix = record[:length]
        assert sound(prefix) == verified(prefix) == (length in ends), length
        if length in ends:
            assert parse(prefix).layers == ends.index(length) + 1
    assert not sound(record + b"\0")


def test_a_section_is_found_by_its_cell() -> None:
    record = six()
    header = parse(record)
    for layer, item, part in ((0, 2, 1), (1, 2, 0), (2, 0, 1), (3, 2, 1)):
        number = header.section(layer, item, part)
        inside = (0, item, part, 2 * item + part)[layer]
        assert bytes(section(record, header, number)) == bytes([layer]) * (3 * inside + layer)


def test_a_section_of_a_missing_layer_is_refused() -> None:
    record = six()
    prefix = record[: parse(record).layer_bytes()[0]]
    with pytest.raises(CorruptRecord, match="section 3 is not among the 1 here"):
        section(prefix, parse(prefix), 3)


def test_every_flipped_bit_is_seen() -> None:
    for record in (six(), pack(1, PROFILE, ONE, [[b"abc"], [b"defg"]])):
        for bit in range(8 * len(record)):
            damaged = bytearray(record)
            damaged[bit // 8] ^= 1 << bit % 8
            assert not sound(bytes(damaged)), bit
            assert not verified(bytes(damaged)), bit


@given(st.data())
@settings(max_examples=600, deadline=None)
def test_headers_that_lie_under_a_right_checksum(data: st.DataObject) -> None:
    """`verify` and `parse` agree, and neither reads outside, whatever the header says."""
    record = six() if data.draw(st.booleans()) else pack(1, "", ONE, [[b"abc"], [b"de"]])
    size = parse(record).size
    damaged = bytearray(record)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, size - 5))] = data.draw(st.sampled_from([0, 1, 2, 3, 127, 128, 255]))
    lying = sealed(damaged, size)
    assert sound(lying) == verified(lying)


def test_each_byte_of_a_header_set_to_anything() -> None:
    record = six()
    size = parse(record).size
    for place in range(size - 4):
        for value in (0, 1, 2, 3, 4, 5, 32, 33, 127, 128, 255):
            damaged = bytearray(record)
            damaged[place] = value
            lying = sealed(damaged, size)
            assert sound(lying) == verified(lying), (place, value)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, b"X", "begins with"),
        (4, b"\x02", "version 2"),
        (6, b"\x10", "flags 0x10"),
        (7, b"\x00", "0 layers"),
        (24, b"\xff", "dtype code 255"),
        (25, b"\xff" * 8, "elements"),
        (33, b"\xff" * 4, "layers end after"),
    ],
)
def test_what_was_wrong_is_named(at: int, value: bytes, words: str) -> None:
    record = bytearray(pack(1, "", ONE, [[b"abc"]]))
    record[at : at + len(value)] = value
    with pytest.raises(CorruptRecord, match=words):
        parse(sealed(record, 45))


def test_a_huge_claim_allocates_nothing() -> None:
    grid = struct.pack("<IH", 1 << 20, 1 << 14) + struct.pack("<IBI", 0, 2, 0) + b"\x03"
    record = b"LMFC\x01\x01\x0d\x01" + bytes(16) + grid + bytes(40)
    with pytest.raises(CorruptRecord, match="sections in a record of"):
        parse(record)
    assert not verified(record)


def test_wide_lengths() -> None:
    """No test packs four gigabytes; a header with wide lengths is made by hand."""
    head = b"LMFC\x01\x01\x02\x01" + bytes(16) + struct.pack("<BII", 2, 3, 5) + struct.pack("<QI", 3, crc32c(b"abc"))
    record = head + struct.pack("<I", crc32c(head)) + b"abc"
    assert sound(record)
    assert verified(record)
    head = head[:33] + struct.pack("<QI", 1 << 63, 0)
    lying = head + struct.pack("<I", crc32c(head)) + b"abc"
    assert not sound(lying)
    assert not verified(lying)


def test_lengths_that_run_out_of_the_record_and_back() -> None:
    """One section reaches five bytes into the next record, another is minus five bytes long; the sum is right."""
    head = b"LMFC\x01\x01\x02\x02" + bytes(16) + struct.pack("<BII", 2, 3, 5)
    head += struct.pack("<QIQI", 8, crc32c(b"abcLMFC\x01"), (1 << 64) - 5, 0)
    record = head + struct.pack("<I", crc32c(head)) + b"abc"
    assert not sound(record)
    with pytest.raises(CorruptRecord, match="record 0 of 2"):
        verify(Packed.of([record, pack(1, "", ONE, [[b""]])]))


@pytest.mark.parametrize(
    ("grid", "layers"),
    [
        (replace(ONE, dtypes=("float12",)), [[b""]]),
        (replace(ONE, tokens=()), [[b""]]),
        (replace(ONE, tokens=(1 << 32,)), [[b""]]),
        (replace(ONE, tokens=(1 << 20,), channels=(1 << 14,)), [[b""]]),
        (replace(ONE, channels=(1, 2)), [[b""]]),
        (ONE, []),
        (ONE, [[b"a", b"b"]]),
        (ONE, [[b"a"]] * 33),
    ],
)
def test_what_a_record_cannot_hold_is_refused(grid: Grid, layers: list[list[bytes]]) -> None:
    with pytest.raises(UnsupportedInput):
        pack(1, "", grid, layers)


def test_verify_names_the_record() -> None:
    records = [pack(1, "", ONE, [[bytes([k]) * 50]]) for k in range(9)]
    packed = Packed.of(records)
    verify(packed)
    assert [bytes(record) for record in packed] == records
    records[6] = records[6][:-1] + b"\xff"
    with pytest.raises(CorruptRecord, match="record 6 of 9: section 0 has crc32c"):
        verify(Packed.of(records))


@pytest.mark.parametrize("offsets", [[0, 99], [5, 2], [-1, 46]])
def test_offsets_outside_of_the_buffer(offsets: list[int]) -> None:
    record = pack(1, "", ONE, [[b"a"]])
    with pytest.raises(CorruptRecord, match="offsets"):
        verify(Packed(np.frombuffer(record, np.uint8), np.array(offsets, np.int64)))


def test_no_records_are_sound() -> None:
    verify(Packed.of([]))


def test_verify_marks_what_it_returns_and_nothing_else() -> None:
    packed = Packed.of([pack(1, "", ONE, [[bytes([k]) * 50]]) for k in range(3)])
    checked = verify(packed)
    assert (packed.verified, checked.verified) == (False, True)
    assert not Packed.of(list(checked)).verified
    for records in (packed, checked):
        some = records.take([2, 0])
        assert some.verified is records.verified
        assert list(some) == [records[2], records[0]] == list(some[:])


def test_a_verified_record_is_not_checked_again_and_any_other_is() -> None:
    record = bytearray(pack(1, "", ONE, [[b"abc"]]))
    header = parse(record)
    record[-1] ^= 1
    assert [bytes(content) for content in sections(record, header, verified=True)] == [b"ab" + bytes([ord("c") ^ 1])]
    record[37] ^= 1  # the section's checksum, under that of the header
    with pytest.raises(CorruptRecord, match="header has crc32c"):
        parse(record)
    assert parse(record, verified=True).lengths == header.lengths
