"""One step of all lanes, eight at a time in vectors that LLVM turns into any processor's: inside of `rans_numba`.

Numba's own loops over arrays of lanes do the same arithmetic, but hand each lane from scalar to vector code through
memory, which the processor cannot forward; building the vectors in place makes decoding twice as fast. Nothing here
is particular to a processor: table look-ups and words are scalar loads, the rest is ordinary vector code.

A refill hands words to those lanes that need one, in ascending order. Which lanes these are is a mask of eight bits,
and a table of 256 rows tells for each lane how many of the lanes below it are among them.
"""

# ruff: noqa: PLR0913 - a step takes the arrays that it works on and where in them

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

GROUP = 8
_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_LANES32, _LANES64 = ir.VectorType(_I32, GROUP), ir.VectorType(_I64, GROUP)


def _ranks(aside: bool) -> ir.Constant:
    """For each mask a signed byte for each lane, lane 0 lowest: how many lanes of the mask are below it.

    With `aside`, lanes that are not in the mask have -1 instead.
    """
    rows = []
    for mask in range(256):
        ranks = [(mask & ((1 << lane) - 1)).bit_count() for lane in range(GROUP)]
        kept = [255 if aside and not mask >> lane & 1 else rank for lane, rank in enumerate(ranks)]
        rows.append(int.from_bytes(bytes(kept), "little"))
    return ir.Constant(ir.ArrayType(_I64, 256), rows)


def _place(context: Any, builder: Any, array: tuple[Any, Any], index: Any, kind: Any) -> Any:
    """The address of an element of an array, given with its numba type, as a pointer to something of `kind`."""
    data = context.make_array(array[0])(context, builder, array[1]).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _all(value: int, kind: Any = _LANES32) -> ir.Constant:
    return ir.Constant(kind, [value] * GROUP)


def _look_up(builder: Any, table: Any, indices: list[Any]) -> Any:
    """The vector of table[index] for eight indices."""
    kind = ir.VectorType(table.type.pointee, GROUP)
    found = ir.Constant(kind, ir.Undefined)
    for lane, index in enumerate(indices):
        found = builder.insert_element(found, builder.load(builder.gep(table, [index])), ir.Constant(_I32, lane))
    return found


def _lanes_of(builder: Any, vector: Any) -> list[Any]:
    """The eight elements of a vector as 64-bit numbers."""
    return [builder.zext(builder.extract_element(vector, ir.Constant(_I32, lane)), _I64) for lane in range(GROUP)]


def _offsets(builder: Any, mask: Any, ranks: ir.Constant, name: str) -> tuple[list[Any], Any]:
    """For each lane the byte offset of its word, and the bytes of all words that the mask asks for."""
    table = cgutils.global_constant(builder.module, name, ranks)
    row = builder.load(builder.gep(table, [ir.Constant(_I32, 0), builder.zext(mask, _I32)]))
    offsets = []
    for lane in range(GROUP):
        top = builder.shl(row, ir.Constant(_I64, 8 * (GROUP - 1 - lane)))
        offsets.append(builder.shl(builder.ashr(top, ir.Constant(_I64, 56)), ir.Constant(_I64, 1)))
    return offsets, builder.shl(builder.zext(builder.ctpop(mask), _I64), ir.Constant(_I64, 1))


def decode_step(lanes: int) -> Callable[..., Any]:
    """`(states, slots, table, symbols, place, words, at) -> at`: decode one symbol of each lane.

    states: uint32 of every lane, changed. slots: uint32, all tables end to end, this one from `table` on. symbols:
    uint8, written from `place` on. words: uint8, read from `at` on; the caller has seen that 2 x lanes bytes are
    there.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def decode(
        typingctx: Any, states: Any, slots: Any, table: Any, symbols: Any, place: Any, words: Any, at: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arrays = list(zip(signature.args, args, strict=True))
            slots_here = _place(context, builder, arrays[1], args[2], _I32)
            updated = []
            for first in range(0, lanes, GROUP):
                home = _place(context, builder, arrays[0], ir.Constant(_I64, first), _LANES32)
                x = builder.load(home, align=4)
                entry = _look_up(builder, slots_here, _lanes_of(builder, builder.and_(x, _all(4095))))
                target = builder.add(args[4], ir.Constant(_I64, first))
                kind = ir.VectorType(_I8, GROUP)
                builder.store(builder.trunc(entry, kind), _place(context, builder, arrays[3], target, kind), align=1)
                freq = builder.and_(builder.lshr(entry, _all(8)), _all(4095))
                grown = builder.mul(freq, builder.lshr(x, _all(12)))
                updated.append((home, builder.add(grown, builder.lshr(entry, _all(20)))))
            where = args[6]
            for home, x in updated:
                short = builder.icmp_unsigned("<", x, _all(1 << 15))
                offsets, size = _offsets(builder, builder.bitcast(short, _I8), _ranks(aside=False), "lamofc_ranks")
                base = _place(context, builder, arrays[5], where, _I8)
                word = ir.Constant(ir.VectorType(_I16, GROUP), ir.Undefined)
                for lane, offset in enumerate(offsets):
                    source = builder.bitcast(builder.gep(base, [offset]), _I16.as_pointer())
                    word = builder.insert_element(word, builder.load(source, align=1), ir.Constant(_I32, lane))
                refilled = builder.or_(builder.shl(x, _all(16)), builder.zext(word, _LANES32))
                builder.store(builder.select(short, refilled, x), home, align=4)
                where = builder.add(where, size)
            return where

        return types.intp(states, slots, types.intp, symbols, types.intp, words, types.intp), codegen

    return decode  # type: ignore[no-any-return]


def encode_step(lanes: int) -> Callable[..., Any]:
    """`(states, coding, table, symbols, place, words, at) -> at`: encode one symbol of each lane.

    coding: uint64, `Tables.coding` of all tables end to end, this one from `table` on. words: uint8, written so that
    they end at `at`; two bytes below the new `at` may be written, too, and mean nothing.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def encode(
        typingctx: Any, states: Any, coding: Any, table: Any, symbols: Any, place: Any, words: Any, at: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arrays = list(zip(signature.args, args, strict=True))
            codes_here = _place(context, builder, arrays[1], args[2], _I64)
            where = args[6]
            for first in range(lanes - GROUP, -1, -GROUP):
                source = builder.add(args[4], ir.Constant(_I64, first))
                kind = ir.VectorType(_I8, GROUP)
                symbol = builder.load(_place(context, builder, arrays[3], source, kind), align=1)
                code = _look_up(builder, codes_here, _lanes_of(builder, symbol))
                high = builder.trunc(builder.lshr(code, _all(32, _LANES64)), _LANES32)
                freq = builder.and_(high, _all(4095))
                home = _place(context, builder, arrays[0], ir.Constant(_I64, first), _LANES32)
                x = builder.load(home, align=4)
                full = builder.icmp_unsigned(">=", x, builder.shl(freq, _all(19)))
                offsets, size = _offsets(
                    builder, builder.bitcast(full, _I8), _ranks(aside=True), "lamofc_ranks_or_aside"
                )
                where = builder.sub(where, size)
                _push(builder, _place(context, builder, arrays[5], where, _I8), x, offsets)
                x = builder.select(full, builder.lshr(x, _all(16)), x)
                builder.store(_grow(builder, x, code, high, freq), home, align=4)
            return where

        return types.intp(states, coding, types.intp, symbols, types.intp, words, types.intp), codegen

    return encode  # type: ignore[no-any-return]


def _push(builder: Any, base: Any, x: Any, offsets: list[Any]) -> None:
    """Write the low 16 bits of each lane at its offset; lanes that push nothing have -2, where they do no harm."""
    low = builder.trunc(x, ir.VectorType(_I16, GROUP))
    for lane, offset in enumerate(offsets):
        target = builder.gep(base, [offset])
        value = builder.extract_element(low, ir.Constant(_I32, lane))
        builder.store(value, builder.bitcast(target, _I16.as_pointer()), align=1)


def _grow(builder: Any, x: Any, code: Any, high: Any, freq: Any) -> Any:
    """(x // freq) * 4096 + x % freq + start, as x + start + (x // freq) * (4096 - freq), dividing by the reciprocal."""
    inverse = builder.and_(code, _all(0xFFFFFFFF, _LANES64))
    shift = builder.add(builder.lshr(code, _all(56, _LANES64)), _all(31, _LANES64))
    share = builder.trunc(builder.lshr(builder.mul(builder.zext(x, _LANES64), inverse), shift), _LANES32)
    start = builder.and_(builder.lshr(high, _all(12)), _all(4095))
    return builder.add(builder.add(x, start), builder.mul(share, builder.sub(_all(4096), freq)))
