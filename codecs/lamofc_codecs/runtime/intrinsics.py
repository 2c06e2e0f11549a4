"""Processor instructions that numba does not offer, as functions for compiled code."""

import platform
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic


def _crc32c_instruction() -> str:
    """Return the LLVM intrinsic that appends 8 bytes to a crc32c on this processor, or "" if there is none.

    Numba can be set to compile for another processor than this one, whose instructions are then not known.
    """
    if config.CPU_NAME or config.CPU_FEATURES:
        return ""
    machine = platform.machine().lower()
    features = llvm.get_host_cpu_features()
    if machine in ("x86_64", "amd64") and features.get("sse4.2"):
        return "llvm.x86.sse42.crc32.64.64"
    if machine in ("aarch64", "arm64") and features.get("crc"):
        return "llvm.aarch64.crc32cx"
    return ""


CRC32C = _crc32c_instruction()


def _store16(typingctx: Any, buffer: Any, at: Any, value: Any) -> Any:
    """Write 16 bits of a number to a uint8 array from `at` on, at any alignment. The caller checks the bounds."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(16).as_pointer())
        builder.store(builder.trunc(args[2], ir.IntType(16)), place, align=1)
        return context.get_dummy_value()

    return types.void(buffer, types.intp, types.uint32), codegen


def _load64(typingctx: Any, buffer: Any, at: Any) -> Any:
    """Read 8 bytes of a uint8 array from `at` on, at any alignment, as a uint64. The caller checks the bounds."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return types.uint64(buffer, types.intp), codegen


def _load16(typingctx: Any, buffer: Any, at: Any) -> Any:
    """Read 2 bytes of a uint8 array from `at` on, at any alignment, as a uint32. The caller checks the bounds."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.IntType(16).as_pointer())
        return builder.zext(builder.load(place, align=1), ir.IntType(32))

    return types.uint32(buffer, types.intp), codegen


def _fold64(typingctx: Any, crc: Any, word: Any) -> Any:
    """Append 8 bytes to a running crc32c (uint64 in, uint64 out)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide, narrow = ir.IntType(64), ir.IntType(32)
        on_x86 = CRC32C.startswith("llvm.x86")
        signature_type = ir.FunctionType(wide, [wide, wide]) if on_x86 else ir.FunctionType(narrow, [narrow, wide])
        fold = builder.module.declare_intrinsic(CRC32C, fnty=signature_type)
        if on_x86:
            return builder.call(fold, args)
        return builder.zext(builder.call(fold, [builder.trunc(args[0], narrow), args[1]]), wide)

    return types.uint64(types.uint64, types.uint64), codegen


load16: Any = intrinsic(_load16)
store16: Any = intrinsic(_store16)
load64: Any = intrinsic(_load64)
fold64: Any = intrinsic(_fold64)
