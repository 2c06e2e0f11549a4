"""rANS: the fast form equals the definition bit for bit, comes back exactly, and stands any bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_codecs.entropy.histogram import normalise
from lamofc_codecs.entropy.rans import Blocks, decode_blocks, decode_symbols, encode_symbols
from lamofc_codecs.entropy.rans_cpu import decode_streams, encode_streams
from lamofc_codecs.entropy.rans_layout import choose_layout, first_symbols
from lamofc_codecs.entropy.rans_reference import encode_block
from lamofc_codecs.entropy.tables import Tables, sigma_tables
from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.runtime import as_bytes

Symbols = np.ndarray


def drawn(tables: Tables, rows: np.ndarray, count: int, seed: int) -> Symbols:
    """Symbols with the very probabilities of their tables."""
    slots = np.random.default_rng(seed).integers(0, 4096, count)
    return (tables.slots[np.repeat(rows, 32)[:count], slots] & 0xFF).astype(np.uint8)


def sorted_rows(count: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(0, 48, -(-count // 32))).astype(np.uint16)


def lone(symbol: int) -> Tables:
    return Tables.of(normalise(np.bincount([symbol], minlength=256)))


def test_every_table_alone() -> None:
    frozen = sigma_tables()
    for table in range(len(frozen)):
        symbols = drawn(frozen, np.full(4, table), 100, table)
        data = encode_symbols(symbols, table, frozen)
        assert data == encode_symbols(symbols, table, frozen, backend="reference")
        assert np.array_equal(decode_symbols(data, 100, table, frozen), symbols)
        assert np.array_equal(decode_symbols(data, 100, table, frozen, backend="reference"), symbols)


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 63, 64, 65, 768, 3001, 20_000])
def test_any_count(count: int) -> None:
    frozen, rows = sigma_tables(), sorted_rows(count, count)
    symbols = drawn(frozen, rows, count, count)
    data = encode_symbols(symbols, rows, frozen)
    assert data == encode_symbols(symbols, rows, frozen, backend="reference")
    assert np.array_equal(decode_symbols(data, count, rows, frozen), symbols)
    assert np.array_equal(decode_symbols(data, count, rows, frozen, backend="reference"), symbols)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("count", [97, 1000, 4096])
def test_any_lanes_and_streams(lanes: int, streams: int, count: int) -> None:
    """Every layout that a block may have, chosen by hand rather than by its size."""
    frozen, rows = sigma_tables(), sorted_rows(count, lanes)
    symbols = drawn(frozen, rows, count, streams)
    data = encode_block(symbols, rows, frozen, lanes, streams)
    packed, sizes = encode_streams(
        as_bytes(symbols), first_symbols(count, streams), rows, frozen.coding.reshape(-1), frozen.likeliest, lanes
    )
    assert data.endswith(packed.tobytes())
    assert len(sizes) == streams
    for backend in ("numba", "reference"):
        assert np.array_equal(decode_symbols(data, count, rows, frozen, backend=backend), symbols)


@given(st.binary(max_size=400), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_any_bytes_under_their_own_table(data: bytes, power: int) -> None:
    symbols = np.frombuffer(data, np.uint8)
    tables = Tables.of(
        normalise(np.bincount(symbols, minlength=256) ** power * (np.bincount(symbols, minlength=256) > 0))
    )
    block = encode_symbols(symbols, 0, tables)
    assert block == encode_symbols(symbols, 0, tables, backend="reference")
    assert np.array_equal(decode_symbols(block, len(symbols), 0, tables), symbols)


@pytest.mark.parametrize("symbol", [0, 7, 255])
def test_a_lone_symbol_costs_next_to_nothing(symbol: int) -> None:
    symbols = np.full(100_000, symbol, np.uint8)
    block = encode_symbols(symbols, 0, lone(symbol))
    assert len(block) < 30
    assert np.array_equal(decode_symbols(block, 100_000, 0, lone(symbol)), symbols)


def test_the_rarest_symbols_only() -> None:
    """Twelve bits for every symbol: a word for nearly every one, the most that the scratch must hold."""
    freqs = np.ones(256, np.uint16)
    freqs[0] = 4096 - 255
    symbols = np.random.default_rng(0).integers(1, 256, 50_000, np.uint8)
    block = encode_symbols(symbols, 0, Tables.of(freqs))
    assert block == encode_symbols(symbols, 0, Tables.of(freqs), backend="reference")
    assert np.array_equal(decode_symbols(block, 50_000, 0, Tables.of(freqs)), symbols)


def test_long_blocks_are_cut_into_streams_that_threads_share() -> None:
    frozen, count = sigma_tables(), 200_000
    rows = np.full(count // 32, 40, np.uint16)
    symbols = drawn(frozen, rows, count, 1)
    block = encode_symbols(symbols, rows, frozen)
    assert block[0] & 0x80
    for threads in (1, 2, 3, 16):
        out = np.zeros(count, np.uint8)
        assert decode_symbols(block, count, rows, frozen, out=out, threads=threads) is out
        assert np.array_equal(out, symbols)


def test_size_stays_near_the_cost() -> None:
    """States, index and rounding: under 6 bytes for short blocks, under 2 % for all."""
    frozen = sigma_tables()
    for count in (100, 1000, 10_000, 100_000):
        for table in (5, 14, 30, 47):
            symbols = drawn(frozen, np.full(-(-count // 32), table), count, count + table)
            cost = frozen.costs[table][symbols].sum(dtype=np.float64) / 8
            assert len(encode_symbols(symbols, table, frozen)) < 1.02 * cost + 6, (count, table)


def test_plan_gives_lanes_and_streams_what_they_cost() -> None:
    for coded in (0, 100, 511, 512, 5000, 8192, 10**6):
        lanes, streams = choose_layout(10**7, coded)
        assert lanes == 1 or lanes * 256 <= coded
        assert streams == 1 or streams * 16384 <= coded
    assert choose_layout(10**7, 10**7) == (32, 305)
    assert choose_layout(100, 100) == (1, 1)


def test_many_blocks_in_one_call() -> None:
    frozen = sigma_tables()
    counts = np.array([768, 0, 5, 70_000, 33])
    rows = [sorted_rows(count, k) for k, count in enumerate(counts)]
    symbols = [drawn(frozen, r, count, k) for k, (r, count) in enumerate(zip(rows, counts, strict=True))]
    blocks = [encode_symbols(s, r, frozen) for s, r in zip(symbols, rows, strict=True)]
    ends = 3 + np.cumsum([len(block) for block in blocks])
    spans = np.stack([ends - [len(block) for block in blocks], ends], axis=1)
    batch = Blocks(np.frombuffer(b"???" + b"".join(blocks) + b"?", np.uint8), spans, counts)
    for threads in (1, 2):
        out = decode_blocks(batch, np.concatenate(rows), frozen, threads=threads)
        assert np.array_equal(out, np.concatenate(symbols))
    with pytest.raises(CorruptRecord, match=r"block 3 of 5|stream"):
        spans[3, 1] -= 7
        decode_blocks(batch, np.concatenate(rows), frozen)
    with pytest.raises(CorruptRecord, match="outside"):
        decode_blocks(Blocks(batch.buffer, spans + 99_999, counts), np.concatenate(rows), frozen)


def outcome(data: bytes, count: int, rows: np.ndarray, backend: str) -> bytes | str:
    try:
        return decode_symbols(data, count, rows, sigma_tables(), backend=backend).tobytes()  # type: ignore[arg-type]
    except CorruptRecord as error:
        return error.message


def test_damaged_blocks() -> None:
    """Thousands of flips, cuts and additions: both forms see the same damage, or the same symbols; none crashes."""
    rng = np.random.default_rng(0)
    seen = 0
    for layout in ((1, 1), (8, 1), (32, 1), (4, 3), (16, 2)):
        count = int(rng.integers(150, 400))
        rows = sorted_rows(count, count)
        symbols = drawn(sigma_tables(), rows, count, count)
        data = encode_block(symbols, rows, sigma_tables(), *layout)
        for trial in range(600):
            damaged = bytearray(data)
            if trial % 3 == 0:
                damaged = damaged[: rng.integers(0, len(data))] + rng.bytes(rng.integers(0, 3))
            for _ in range(trial % 3):
                damaged[rng.integers(0, len(damaged))] ^= 1 << rng.integers(0, 8)
            if bytes(damaged) == data:
                continue
            found = outcome(bytes(damaged), count, rows, "numba")
            assert found != symbols.tobytes()
            seen += isinstance(found, str)
            if trial % 8 == 0:
                assert outcome(bytes(damaged), count, rows, "reference") == found
    assert seen > 2900


@given(st.binary(max_size=300), st.integers(0, 2000))
@settings(max_examples=500, deadline=None)
def test_any_bytes_at_all(data: bytes, count: int) -> None:
    rows = sorted_rows(count, 1)
    found = outcome(data, count, rows, "numba")
    assert isinstance(found, str) or len(found) == count


def test_coders_are_compiled_once_for_arrays_that_may_be_written_and_others() -> None:
    frozen, rows = sigma_tables(), np.full(32, 44, np.uint16)
    symbols = drawn(frozen, rows, 1000, 3)
    for given_symbols in (symbols, np.frombuffer(symbols.tobytes(), np.uint8)):
        block = encode_symbols(given_symbols, rows, frozen)
        for data in (block, bytearray(block)):
            assert np.array_equal(decode_symbols(data, 1000, rows, frozen), symbols)
    assert len(encode_streams.signatures) == len(decode_streams.signatures) == 1


def test_nothing_is_read_or_written_outside() -> None:
    """What stands around a block in its buffer, and around its output, has no part in it."""
    frozen, count = sigma_tables(), 5000
    rows = np.full(-(-count // 32), 44, np.uint16)
    symbols = drawn(frozen, rows, count, 3)
    block = encode_symbols(symbols, rows, frozen)
    for filling in (b"\0", b"\xff"):
        buffer = np.frombuffer(filling * 200 + block + filling * 200, np.uint8)
        room = np.full(count + 200, 77, np.uint8)
        spans = np.array([[200, 200 + len(block)]])
        decode_blocks(Blocks(buffer, spans, np.array([count])), rows, frozen, out=room[100:-100])
        assert np.array_equal(room[100:-100], symbols)
        assert (room[:100] == 77).all()
        assert (room[-100:] == 77).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "do not add up"),
        (b"\x06" + bytes(40), "do not add up"),
        (b"\x00abc", "do not add up"),
        (b"\x80\xff\xff\xff\xff", "do not add up"),
        (b"\x00" + bytes(4), "first state"),
        (b"\x00\x00\x80\x00\x00\x00\x00", "words|lanes"),
    ],
)
def test_what_was_wrong_is_named(data: bytes, words: str) -> None:
    with pytest.raises(CorruptRecord, match=words):
        decode_symbols(data, 100, 30, sigma_tables())


@pytest.mark.parametrize("streams", [1, 3])
def test_bytes_after_a_block_are_damage(streams: int) -> None:
    symbols = np.zeros(500, np.uint8)
    data = encode_block(symbols, np.zeros(16, np.uint16), sigma_tables(), 4, streams)
    assert np.array_equal(decode_symbols(data, 500, 0, sigma_tables()), symbols)
    for more in (b"?", b"??", b"????"):
        with pytest.raises(CorruptRecord, match=r"words are left|do not add up"):
            decode_symbols(data + more, 500, 0, sigma_tables())


def test_symbols_without_a_slot_are_refused() -> None:
    with pytest.raises(UnsupportedInput, match="symbol 9 at place 33 has no slot in table 1"):
        encode_symbols(np.array([0] * 33 + [9], np.uint8), np.array([0, 1]), sigma_tables())


@pytest.mark.parametrize("rows", [48, np.zeros(3, np.uint8), np.full(4, 48, np.uint8)])
def test_tables_that_are_not_there(rows: int | np.ndarray) -> None:
    with pytest.raises(UnsupportedInput, match="rows"):
        encode_symbols(np.zeros(100, np.uint8), rows, sigma_tables())


@pytest.mark.parametrize("out", [np.zeros(99, np.uint8), np.zeros(100, np.int8), np.zeros(200, np.uint8)[::2]])
def test_outputs_that_do_not_fit(out: np.ndarray) -> None:
    with pytest.raises(UnsupportedInput, match="out is"):
        decode_symbols(encode_symbols(np.zeros(100, np.uint8), 3, sigma_tables()), 100, 3, sigma_tables(), out=out)
