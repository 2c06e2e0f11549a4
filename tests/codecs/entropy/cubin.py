"""What a compiled GPU kernel uses, read from its ELF file."""

import struct

_REGISTERS, _STACK = 0x2F, 0x12
"""Attributes of `.nv.info`: each is told of a function, by a number."""
_TOLD = 4


def usage(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread, and bytes of local memory, which it has if registers are spilled; -1 where not told."""
    (table,) = struct.unpack_from("<Q", cubin, 40)
    size, count, names = struct.unpack_from("<HHH", cubin, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", cubin, table + size * number) for number in range(count)]
    titles = cubin[heads[names][4] :]
    for head in heads:
        if titles[head[0] : titles.index(b"\0", head[0])] == b".nv.info":
            told = _attributes(cubin[head[4] : head[4] + head[5]])
            return told.get(_REGISTERS, -1), told.get(_STACK, -1)
    return -1, -1


def _attributes(info: bytes) -> dict[int, int]:
    found: dict[int, int] = {}
    at = 0
    while at + 4 <= len(info):
        form, kind, size = struct.unpack_from("<BBH", info, at)
        if form == _TOLD and size == 8:
            found[kind] = max(found.get(kind, 0), struct.unpack_from("<I", info, at + 8)[0])
        at += 4 + (size if form == _TOLD else 0)
    return found
