"""The inner code of `rans_cpu`: a row of symbols decoded, and a step of all lanes encoded.

Steps of many lanes take eight of them at a time in vectors that LLVM maps to any processor.

Numba's loops over arrays of lanes do the same arithmetic but pass each lane from scalar to vector code through memory,
where the processor cannot forward a store to a wider load. Building the vectors in place makes decoding twice as fast.
Nothing is specific to a processor: table look-ups and words are scalar loads, the rest is ordinary vector code.

A refill reads one word for each lane whose state is too small, in ascending order of lanes. These lanes are a mask of
eight bits; a table of 256 rows gives for each lane the number of such lanes below it.
"""

# ruff: noqa: PLR0913 - a step takes arrays and places in them

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lamofc_codecs.entropy.rans_layout import ROW

GROUP = 8
_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_LANES32, _LANES64 = ir.VectorType(_I32, GROUP), ir.VectorType(_I64, GROUP)


def _rank_table(mark_unset: bool) -> ir.Constant:
    """Tabulate for each mask the number of its lanes below each lane, as signed bytes, lane 0 lowest.

    With `mark_unset`, lanes outside of the mask have -1 instead.
    """
    rows = []
    for mask in range(256):
        ranks = [(mask & ((1 << lane) - 1)).bit_count() for lane in range(GROUP)]
        row = [255 if mark_unset and not mask >> lane & 1 else rank for lane, rank in enumerate(ranks)]
        rows.append(int.from_bytes(bytes(row), "little"))
    return ir.Constant(ir.ArrayType(_I64, 256), rows)


def _address(context: Any, builder: Any, array: tuple[Any, Any], index: Any, element: Any) -> Any:
    """Return the address of array[index] as a pointer to `element`; `array` is its numba type and its value."""
    data = context.make_array(array[0])(context, builder, array[1]).data
    return builder.bitcast(builder.gep(data, [index]), element.as_pointer())


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I32, value)


def _splat(value: int, vector: Any = _LANES32) -> ir.Constant:
    return ir.Constant(vector, [value] * GROUP)


def _look_up(builder: Any, table: Any, indices: list[Any]) -> Any:
    """Load table[index] for eight indices into a vector."""
    values = ir.Constant(ir.VectorType(table.type.pointee, GROUP), ir.Undefined)
    for lane, index in enumerate(indices):
        values = builder.insert_element(values, builder.load(builder.gep(table, [index])), ir.Constant(_I32, lane))
    return values


def _extract_lanes(builder: Any, vector: Any) -> list[Any]:
    """Return the eight elements of a vector as 64-bit integers."""
    return [builder.zext(builder.extract_element(vector, ir.Constant(_I32, lane)), _I64) for lane in range(GROUP)]


def _offsets(builder: Any, mask: Any, ranks: ir.Constant, name: str) -> tuple[list[Any], Any]:
    """Return the byte offset of each lane's word, and the bytes of all words of the mask."""
    table = cgutils.global_constant(builder.module, name, ranks)
    row = builder.load(builder.gep(table, [ir.Constant(_I32, 0), builder.zext(mask, _I32)]))
    offsets = []
    for lane in range(GROUP):
        top = builder.shl(row, ir.Constant(_I64, 8 * (GROUP - 1 - lane)))
        offsets.append(builder.shl(builder.ashr(top, ir.Constant(_I64, 56)), ir.Constant(_I64, 1)))
    return offsets, builder.shl(builder.zext(builder.ctpop(mask), _I64), ir.Constant(_I64, 1))


def decode_row(lanes: int) -> Callable[..., Any]:
    """`(states, slots, table, symbols, place, words, at) -> at`: decode 32 symbols in turn by 1 to 32 lanes.

    states: uint32 of each lane, updated. slots: uint32, all tables end to end, the one in use from `table` on. symbols:
    uint8, written from `place` on. words: uint8, read from `at` on; the caller ensures that 64 bytes follow.
    """
    decode_symbols = _decode_by_vectors if lanes == ROW else _decode_one_by_one

    @intrinsic  # type: ignore[untyped-decorator]
    def decode(
        typingctx: Any, states: Any, slots: Any, table: Any, symbols: Any, place: Any, words: Any, at: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arrays = list(zip(signature.args, args, strict=True))
            table_slots = _address(context, builder, arrays[1], args[2], _I32)
            target = _address(context, builder, arrays[3], args[4], _I8)
            first_word = _address(context, builder, arrays[5], args[6], _I8)
            first_state = _address(context, builder, arrays[0], ir.Constant(_I64, 0), _I32)
            used = decode_symbols(builder, lanes, first_state, table_slots, target, first_word)
            return builder.add(args[6], used)

        return types.intp(states, slots, types.intp, symbols, types.intp, words, types.intp), codegen

    return decode  # type: ignore[no-any-return]


def _decode_one_by_one(builder: Any, lanes: int, states: Any, slots: Any, symbols: Any, words: Any) -> Any:
    """Decode a row symbol by symbol, without branches; return the bytes of its words.

    States stay in registers, and several lanes keep the processor busy while each waits for its look-up. This takes
    half the time of vectors of 8 lanes.
    """
    places = [builder.gep(states, [ir.Constant(_I32, lane)]) for lane in range(lanes)]
    lane_states = [builder.load(place) for place in places]
    used = ir.Constant(_I64, 0)
    for number in range(ROW):
        x = lane_states[number % lanes]
        entry = builder.load(builder.gep(slots, [builder.zext(builder.and_(x, _number(4095)), _I64)]))
        builder.store(builder.trunc(entry, _I8), builder.gep(symbols, [_number(number)]))
        freq = builder.and_(builder.lshr(entry, _number(8)), _number(4095))
        x = builder.add(builder.mul(freq, builder.lshr(x, _number(12))), builder.lshr(entry, _number(20)))
        short = builder.icmp_unsigned("<", x, _number(1 << 15))
        word = builder.load(builder.bitcast(builder.gep(words, [used]), _I16.as_pointer()), align=1)
        refilled = builder.or_(builder.shl(x, _number(16)), builder.zext(word, _I32))
        lane_states[number % lanes] = builder.select(short, refilled, x)
        used = builder.add(used, builder.shl(builder.zext(short, _I64), ir.Constant(_I64, 1)))
    for place, x in zip(places, lane_states, strict=True):
        builder.store(x, place)
    return used


def _decode_by_vectors(builder: Any, lanes: int, states: Any, slots: Any, symbols: Any, words: Any) -> Any:
    """Decode a row of one symbol for each of 32 lanes; return the bytes of its words."""
    updated = []
    for first in range(0, lanes, GROUP):
        state = builder.bitcast(builder.gep(states, [_number(first)]), _LANES32.as_pointer())
        x = builder.load(state, align=4)
        entry = _look_up(builder, slots, _extract_lanes(builder, builder.and_(x, _splat(4095))))
        eight = ir.VectorType(_I8, GROUP)
        target = builder.bitcast(builder.gep(symbols, [_number(first)]), eight.as_pointer())
        builder.store(builder.trunc(entry, eight), target, align=1)
        freq = builder.and_(builder.lshr(entry, _splat(8)), _splat(4095))
        grown = builder.mul(freq, builder.lshr(x, _splat(12)))
        updated.append((state, builder.add(grown, builder.lshr(entry, _splat(20)))))
    used = ir.Constant(_I64, 0)
    for state, x in updated:
        short = builder.icmp_unsigned("<", x, _splat(1 << 15))
        offsets, size = _offsets(builder, builder.bitcast(short, _I8), _rank_table(mark_unset=False), "lamofc_ranks")
        base = builder.gep(words, [used])
        word = ir.Constant(ir.VectorType(_I16, GROUP), ir.Undefined)
        for lane, offset in enumerate(offsets):
            source = builder.bitcast(builder.gep(base, [offset]), _I16.as_pointer())
            word = builder.insert_element(word, builder.load(source, align=1), _number(lane))
        refilled = builder.or_(builder.shl(x, _splat(16)), builder.zext(word, _LANES32))
        builder.store(builder.select(short, refilled, x), state, align=4)
        used = builder.add(used, size)
    return used


def encode_step(lanes: int) -> Callable[..., Any]:
    """`(states, coding, table, symbols, place, words, at) -> at`: encode one symbol of each lane.

    coding: uint64, `Tables.coding` of all tables end to end, the one in use from `table` on. words: uint8, written so
    that they end at `at`; the two bytes below the new `at` may be overwritten as well.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def encode(
        typingctx: Any, states: Any, coding: Any, table: Any, symbols: Any, place: Any, words: Any, at: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arrays = list(zip(signature.args, args, strict=True))
            table_codes = _address(context, builder, arrays[1], args[2], _I64)
            at_word = args[6]
            for first in range(lanes - GROUP, -1, -GROUP):
                source = builder.add(args[4], ir.Constant(_I64, first))
                eight = ir.VectorType(_I8, GROUP)
                symbol = builder.load(_address(context, builder, arrays[3], source, eight), align=1)
                code = _look_up(builder, table_codes, _extract_lanes(builder, symbol))
                high = builder.trunc(builder.lshr(code, _splat(32, _LANES64)), _LANES32)
                freq = builder.and_(high, _splat(4095))
                state = _address(context, builder, arrays[0], ir.Constant(_I64, first), _LANES32)
                x = builder.load(state, align=4)
                full = builder.icmp_unsigned(">=", x, builder.shl(freq, _splat(19)))
                offsets, size = _offsets(
                    builder, builder.bitcast(full, _I8), _rank_table(mark_unset=True), "lamofc_ranks_or_unset"
                )
                at_word = builder.sub(at_word, size)
                _push(builder, _address(context, builder, arrays[5], at_word, _I8), x, offsets)
                x = builder.select(full, builder.lshr(x, _splat(16)), x)
                builder.store(_grow(builder, x, code, high, freq), state, align=4)
            return at_word

        return types.intp(states, coding, types.intp, symbols, types.intp, words, types.intp), codegen

    return encode  # type: ignore[no-any-return]


def _push(builder: Any, base: Any, x: Any, offsets: list[Any]) -> None:
    """Write the low 16 bits of each lane at its offset. A lane that pushes no word has -2, below all words."""
    low = builder.trunc(x, ir.VectorType(_I16, GROUP))
    for lane, offset in enumerate(offsets):
        target = builder.gep(base, [offset])
        value = builder.extract_element(low, ir.Constant(_I32, lane))
        builder.store(value, builder.bitcast(target, _I16.as_pointer()), align=1)


def _grow(builder: Any, x: Any, code: Any, high: Any, freq: Any) -> Any:
    """Compute (x // freq) * 4096 + x % freq + start as x + start + (x // freq) * (4096 - freq), by the reciprocal."""
    inverse = builder.and_(code, _splat(0xFFFFFFFF, _LANES64))
    shift = builder.add(builder.lshr(code, _splat(56, _LANES64)), _splat(31, _LANES64))
    share = builder.trunc(builder.lshr(builder.mul(builder.zext(x, _LANES64), inverse), shift), _LANES32)
    start = builder.and_(builder.lshr(high, _splat(12)), _splat(4095))
    return builder.add(builder.add(x, start), builder.mul(share, builder.sub(_splat(4096), freq)))
