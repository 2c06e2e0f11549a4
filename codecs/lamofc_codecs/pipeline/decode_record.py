"""One record back to tensors: those cells of its grid that are wanted, where and in what dtype they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.pooling import Pool
from lamofc_codecs.record import Buffer, Header, sections
from lamofc_codecs.registry import codec_of_number
from lamofc_codecs.runtime import convert, convert_into
from lamofc_codecs.source import DecodeRequest, PartShape


@dataclass(frozen=True)
class Decoding:
    """One record to decode."""

    record: Buffer
    header: Header
    codec: Codec
    cells: Sequence[int]
    """Items, or of a group, its features."""
    verified: bool = False
    """Whether the record's checksums were compared before."""
    out: list[Tensor] | None = None
    dtype: torch.dtype | None = None

    def run(self) -> list[Tensor]:
        """Decode them."""
        wanted = self.wanted()
        if self.header.parts > 1:
            return self._group(wanted)
        shape, source_dtype = (wanted.tokens, wanted.channels[0]), wanted.dtypes[0]
        first = self.out[0] if self.out and self.header.items == 1 else None
        direct = first is not None and _takes(first, shape, source_dtype)
        whole = first if first is not None and direct else allocate(shape, source_dtype)
        self.codec.decode(wanted.layers, whole)
        return self.taken([whole])

    def pooled(self, pool: Pool) -> list[Tensor]:
        """The same pooled, each rows x channels, float32; its tokens are decoded only where the codec must."""
        wanted = self.wanted()
        if self.header.items == 1:
            like = list(map(PartShape, wanted.channels, wanted.dtypes))
            found = self.codec.pooled(wanted.layers, like, wanted.parts, pool.weights(wanted.tokens))
            if found is not None:
                return found
        return [pool.of(tensor) for tensor in self.run()]

    def wanted(self) -> DecodeRequest:
        """What its codec is to decode, once it is known that its layers may hold it; `taken` takes what comes of it."""
        grid, layers = self.header.grid, sections(self.record, self.header, verified=self.verified)
        dtypes = [getattr(torch, name) for name in grid.dtypes]
        tokens = sum(grid.tokens)
        sizes = [channels * dtype.itemsize for channels, dtype in zip(grid.channels, dtypes, strict=True)]
        self.codec.check_length(layers, tokens * sum(sizes))
        return DecodeRequest(layers, tokens, grid.channels, dtypes, self.cells if self.header.parts > 1 else (0,))

    def taken(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """The tensors as they were asked for, of the wanted parts."""
        if self.header.parts > 1:
            return self._given(list(parts))
        pieces = torch.split(parts[0], list(self.header.grid.tokens)) if self.header.items > 1 else parts
        return self._given([pieces[item] for item in self.cells])

    def _group(self, wanted: DecodeRequest) -> list[Tensor]:
        outs: list[Tensor | None] = [None] * len(wanted.channels)
        for number, part in enumerate(wanted.parts):
            shape, dtype = (wanted.tokens, wanted.channels[part]), wanted.dtypes[part]
            target = self.out[number] if self.out else None
            direct = target is not None and _takes(target, shape, dtype)
            outs[part] = target if direct else allocate(shape, dtype)
        self.codec.decode_parts(wanted.layers, wanted.channels, outs)
        chosen = [outs[part] for part in wanted.parts]
        return self.taken([piece for piece in chosen if piece is not None])

    def _given(self, pieces: list[Tensor]) -> list[Tensor]:
        """The tensors as they were asked for."""
        if self.out is None:
            return [piece if self.dtype is None else convert(piece, self.dtype) for piece in pieces]
        for target, piece in zip(self.out, pieces, strict=True):
            _check_out(target, piece, self.dtype)
            if target is not piece:
                convert_into(piece, target)
        return self.out


def allocate(shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return an empty tensor. Made of bytes, because torch warns of complex32 whenever it makes one."""
    return torch.empty(shape[0] * shape[1] * dtype.itemsize, dtype=torch.uint8).view(dtype).view(shape)


def _takes(target: Tensor, shape: tuple[int, int], dtype: torch.dtype) -> bool:
    """Whether a codec can decode straight into that tensor."""
    fits = target.shape == shape and target.dtype == dtype and target.is_contiguous()
    return fits and target.device.type == "cpu" and not target.requires_grad


def _check_out(target: Tensor, piece: Tensor, dtype: torch.dtype | None) -> None:
    if target.shape != piece.shape or dtype not in (None, target.dtype):
        raise UnsupportedInput(
            f"a tensor of {target.dtype} {tuple(target.shape)} to write {tuple(piece.shape)} to, with dtype={dtype}",
            "give one of the record's shape, and no other dtype",
        )


def cells_of(header: Header, parts: Sequence[int] | None, items: Sequence[int] | None) -> Sequence[int]:
    """Return the items asked for, or of a group the parts; no codec here writes several of both."""
    layered = codec_of_number(header.number).layered
    several = header.parts > 1 and header.items > 1
    if several or any(header.partitions) or (len(header.partitions) != 1 and not layered):
        raise CorruptRecord(
            f"{header.items} items x {header.parts} parts in {len(header.partitions)} layers cut {header.partitions}; "
            f"codec number {header.number} writes {'whole layers' if layered else 'one whole layer'}"
        )
    for what, asked, there in (("parts", parts, header.parts), ("items", items, header.items)):
        if asked is not None and not all(0 <= number < there for number in asked):
            raise UnsupportedInput(f"{what} {list(asked)} of a record that has {there}", "ask for those that it has")
    if header.parts > 1:
        return range(header.parts) if parts is None else parts
    return range(header.items) if items is None else items
