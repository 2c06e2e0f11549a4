"""The exact product of integers of two bytes by bytes, with an instruction of x86 that adds up products of pairs.

AVX2 multiplies sixteen integers of two bytes and adds neighbouring products, as fast as it multiplies eight numbers of
float32. So such a product takes less time than one of float32, and it replaces two where the integers have two bytes.
The matrices are packed into panels whose neighbouring integers are those of one instruction.
"""

from __future__ import annotations

import platform
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import torch
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.runtime.jit import Int, compiled
from lamofc_codecs.runtime.threads import each

_ROWS, _VECTORS, _LANES = 6, 2, 8
_COLUMNS = _VECTORS * _LANES
"""Rows and columns whose sums stay in registers: 12 of 16, beside those of the factors."""
_MIN_SHARED_PRODUCTS = 1 << 26
"""Products from which threads share the rows, as a few milliseconds of work pay for passing it on."""
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_SUMS, _PAIRS = ir.VectorType(_I32, _LANES), ir.VectorType(ir.IntType(16), 2 * _LANES)


def _has_pairs() -> bool:
    """Say whether this processor has the instruction. Numba can be set to compile for another one, or without AVX."""
    known = not config.CPU_NAME and not config.CPU_FEATURES and bool(config.ENABLE_AVX)
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return known and x86 and bool(llvm.get_host_cpu_features().get("avx2"))


HAS_PAIRS = _has_pairs()


def pair_product(low: Tensor, high: Tensor, right: Tensor) -> Tensor:
    """Multiply low + 128 high, of which `high` may have fewer columns, by as many rows; sums wrap around in 32 bits.

    As many threads take part as torch would use.
    """
    if low.shape[1] != len(right) or high.shape[1] > low.shape[1] or len(high) != len(low):
        shapes = " and ".join(" x ".join(map(str, matrix.shape)) for matrix in (low, high, right))
        raise ValueError(f"matrices of {shapes} cannot be multiplied")
    out = torch.empty(len(low), right.shape[1], dtype=torch.int32)
    if not low.shape[1]:
        return out.zero_()
    arrays = low.contiguous().numpy(), high.contiguous().numpy(), right.contiguous().numpy(), out.numpy()
    work = low.numel() * right.shape[1]
    threads = torch.get_num_threads() if work >= _MIN_SHARED_PRODUCTS else 1
    at_once = max(-(-len(low) // threads), 1)
    rows = [slice(first, first + at_once) for first in range(0, len(low), at_once)]
    each(lambda some: _multiply(arrays[0][some], arrays[1][some], arrays[2], arrays[3][some]), rows, work)
    return out


@compiled
def _multiply(low: NDArray[np.int8], high: NDArray[np.int8], right: NDArray[np.int8], out: NDArray[np.int32]) -> None:
    pairs = (low.shape[1] + 1) // 2
    left = _pack_rows(low, high, pairs)
    panel, tile = np.empty(pairs * _COLUMNS, np.int32), np.empty(_ROWS * _COLUMNS, np.int32)
    for first in range(0, out.shape[1], _COLUMNS):
        _pack_columns(right, first, panel)
        width = min(_COLUMNS, out.shape[1] - first)
        for number in range(left.shape[0]):
            _add_products(left[number], panel, pairs, tile)
            start = number * _ROWS
            for row in range(min(_ROWS, out.shape[0] - start)):
                for column in range(width):
                    out[start + row, first + column] = tile[row * _COLUMNS + column]


@compiled
def _pack_rows(low: NDArray[np.int8], high: NDArray[np.int8], pairs: Int) -> NDArray[np.int32]:
    """Join the bytes; panels x (pairs x rows) of two neighbouring integers of a row, 0 beyond the matrix."""
    panels = (low.shape[0] + _ROWS - 1) // _ROWS
    packed = np.zeros((panels, pairs * _ROWS), np.int32)
    whole, row = packed.view(np.int16), np.zeros(2 * pairs, np.int16)
    for t in range(low.shape[0]):
        for c in range(low.shape[1]):
            row[c] = low[t, c]
        for c in range(high.shape[1]):
            row[c] += np.int16(128) * np.int16(high[t, c])
        panel, first = whole[t // _ROWS], 2 * (t % _ROWS)
        for pair in range(pairs):
            panel[2 * _ROWS * pair + first] = row[2 * pair]
            panel[2 * _ROWS * pair + first + 1] = row[2 * pair + 1]
    return packed


@compiled
def _pack_columns(right: NDArray[np.int8], first: Int, panel: NDArray[np.int32]) -> None:
    """Write pairs x columns: two integers of a column below each other, 0 beyond the matrix."""
    rows, columns = right.shape
    width, flat = min(_COLUMNS, columns - first), right.reshape(-1)
    whole = rows // 2 if width == _COLUMNS else 0
    for pair in range(whole):
        at = 2 * pair * columns + first
        _interleave(flat, at, at + columns, panel, pair * _COLUMNS)
    for pair in range(whole, panel.size // _COLUMNS):
        packed = panel[pair * _COLUMNS : (pair + 1) * _COLUMNS]
        packed[:] = 0
        for column in range(width):
            packed[column] = np.int32(right[2 * pair, first + column]) & np.int32(0xFFFF)
            if 2 * pair + 1 < rows:
                packed[column] |= np.int32(right[2 * pair + 1, first + column]) << np.int32(16)


@intrinsic  # type: ignore[untyped-decorator]
def _interleave(typingctx: Any, source: Any, upper: Any, lower: Any, panel: Any, at: Any) -> Any:
    """`(source, upper, lower, panel, at)`: write 16 bytes from `upper` and from `lower` on as pairs of two bytes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, args[0]).data
        panel = context.make_array(signature.args[3])(context, builder, args[3]).data
        rows = []
        for start in args[1:3]:
            place = builder.bitcast(builder.gep(source, [start]), ir.VectorType(ir.IntType(8), _COLUMNS).as_pointer())
            rows.append(builder.sext(builder.load(place, align=1), _PAIRS))
        target = builder.bitcast(builder.gep(panel, [args[4]]), _PAIRS.as_pointer())
        for half in range(_VECTORS):
            order = [half * _LANES + at + row * _COLUMNS for at in range(_LANES) for row in range(2)]
            pairs = builder.shuffle_vector(*rows, ir.Constant(ir.VectorType(_I32, 2 * _LANES), order))
            builder.store(pairs, builder.gep(target, [_I64(half)]), align=4)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, panel, types.intp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _add_products(typingctx: Any, rows: Any, columns: Any, pairs: Any, tile: Any) -> Any:
    """`(rows, columns, pairs, tile)`: write the sums of the products of a panel of rows by a panel of columns.

    All are int32 arrays. There is one pair at least.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = [
            builder.bitcast(context.make_array(signature.args[at])(context, builder, args[at]).data, kind.as_pointer())
            for at, kind in ((0, _I32), (1, _PAIRS), (3, _SUMS))
        ]
        rows, columns, tile = places
        for number, total in enumerate(_loop_over_pairs(builder, rows, columns, args[2])):
            builder.store(total, builder.gep(tile, [_I64(number)]), align=4)
        return context.get_dummy_value()

    return types.void(rows, columns, types.intp, tile), codegen


def _loop_over_pairs(builder: Any, rows: Any, columns: Any, pairs: Any) -> list[Any]:
    """Return the vectors of sums, row by row, of a loop that is left as the current block."""
    multiply = builder.module.declare_intrinsic("llvm.x86.avx2.pmadd.wd", fnty=ir.FunctionType(_SUMS, [_PAIRS, _PAIRS]))
    before, loop = builder.block, builder.append_basic_block("pair")
    after = builder.append_basic_block("pairs.end")
    builder.branch(loop)
    builder.position_at_end(loop)
    pair = builder.phi(_I64)
    pair.add_incoming(_I64(0), before)
    sums = [builder.phi(_SUMS) for _ in range(_ROWS * _VECTORS)]
    place = builder.mul(pair, _I64(_VECTORS))
    right = [
        builder.load(builder.gep(columns, [builder.add(place, _I64(number))]), align=4) for number in range(_VECTORS)
    ]
    added: list[Any] = []
    for row in range(_ROWS):
        integers = builder.load(builder.gep(rows, [builder.add(builder.mul(pair, _I64(_ROWS)), _I64(row))]))
        left = builder.bitcast(_spread(builder, integers), _PAIRS)
        added += [
            builder.add(sums[len(added) + at], builder.call(multiply, [left, one])) for at, one in enumerate(right)
        ]
    following = builder.add(pair, _I64(1))
    pair.add_incoming(following, loop)
    for phi, total in zip(sums, added, strict=True):
        phi.add_incoming(ir.Constant(_SUMS, [0] * _LANES), before)
        phi.add_incoming(total, loop)
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, after)
    builder.position_at_end(after)
    return added


def _spread(builder: Any, value: Any) -> Any:
    """Fill all lanes of a vector with one value."""
    undefined = ir.Constant(_SUMS, ir.Undefined)
    return builder.shuffle_vector(
        builder.insert_element(undefined, value, _I32(0)),
        undefined,
        ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES),
    )
