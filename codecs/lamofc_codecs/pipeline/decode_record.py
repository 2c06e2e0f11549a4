"""Decode one record to tensors: the requested cells of its grid, in the requested dtype and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_codecs.abilities import Grouped, Layered, Poolable
from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.pooling import Pool
from lamofc_codecs.record import Buffer, Header, sections
from lamofc_codecs.registry import CODECS
from lamofc_codecs.runtime import convert, convert_into
from lamofc_codecs.source import DecodeRequest, PartShape


@dataclass(frozen=True)
class DecodeJob:
    """One record to decode."""

    record: Buffer
    header: Header
    codec: Codec
    cells: Sequence[int]
    """Numbers of the requested items, or of the requested parts of a group."""
    verified: bool = False
    """Whether the record's checksums were compared already."""
    out: list[Tensor] | None = None
    """Tensors to write to, one for each cell."""
    dtype: torch.dtype | None = None
    """Dtype of the returned tensors; None for that of the source."""

    def run(self) -> list[Tensor]:
        """Decode the cells."""
        request = self.request()
        outs = self.outs_of(request)
        if isinstance(self.codec, Grouped) and self.header.parts > 1:
            self.codec.decode_parts(request.layers, request.channels, outs)
        else:
            (decoded,) = outs
            self.codec.decode(request.layers, decoded)  # type: ignore[arg-type]
        return self.cells_of_outs(request, outs)

    def pooled(self, pool: Pool, codec: Poolable | None) -> list[Tensor]:
        """Decode the cells to pooled rows; `codec` is the record's codec if it can pool without decoding the tokens."""
        request = self.request()
        if codec is None or self.header.items > 1 or not (request.tokens and any(request.channels)):
            return [pool.of(tensor) for tensor in self.run()]
        shapes = list(map(PartShape, request.channels, request.dtypes))
        return codec.pool(request.layers, shapes, request.parts, pool.weights(request.tokens))

    def request(self) -> DecodeRequest:
        """Return the request to the codec, or refuse layers that are too short for it."""
        if self.header.parts > 1 and not isinstance(self.codec, Grouped):
            raise CorruptRecord(f"codec {self.codec.id} codes one feature a record, this one holds {self.header.parts}")
        grid, layers = self.header.grid, sections(self.record, self.header, verified=self.verified)
        dtypes = [getattr(torch, name) for name in grid.dtypes]
        tokens = sum(grid.tokens)
        sizes = [channels * dtype.itemsize for channels, dtype in zip(grid.channels, dtypes, strict=True)]
        self.codec.check_length(layers, tokens * sum(sizes))
        return DecodeRequest(layers, tokens, grid.channels, dtypes, self.cells if self.header.parts > 1 else (0,))

    def outs_of(self, request: DecodeRequest) -> list[Tensor | None]:
        """Return a tensor for each part to decode, and None for others: of `out` those that a codec can write to."""
        outs: list[Tensor | None] = [None] * len(request.channels)
        for number, part in enumerate(request.parts):
            shape, dtype = (request.tokens, request.channels[part]), request.dtypes[part]
            target = self.out[number] if self.out and self.header.items == 1 else None
            outs[part] = target if target is not None and _takes(target, shape, dtype) else allocate(shape, dtype)
        return outs

    def cells_of_outs(self, request: DecodeRequest, outs: Sequence[Tensor | None]) -> list[Tensor]:
        """Return the requested cells once the tensors of `outs_of` are filled."""
        parts = [outs[part] for part in request.parts]
        return self.cells_of_parts([part for part in parts if part is not None])

    def cells_of_parts(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Return the requested cells of the decoded parts, converted to the requested dtype or written to `out`."""
        if self.header.parts > 1:
            return self._delivered(list(parts))
        pieces = torch.split(parts[0], list(self.header.grid.tokens)) if self.header.items > 1 else parts
        return self._delivered([pieces[item] for item in self.cells])

    def _delivered(self, pieces: list[Tensor]) -> list[Tensor]:
        if self.out is None:
            return [piece if self.dtype is None else convert(piece, self.dtype) for piece in pieces]
        for target, piece in zip(self.out, pieces, strict=True):
            _check_out(target, piece, self.dtype)
            if target is not piece:
                convert_into(piece, target)
        return self.out


def allocate(shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return an empty tensor. It is allocated as bytes, because torch warns when it allocates complex32."""
    return torch.empty(shape[0] * shape[1] * dtype.itemsize, dtype=torch.uint8).view(dtype).view(shape)


def _takes(target: Tensor, shape: tuple[int, int], dtype: torch.dtype) -> bool:
    """Say whether a codec can decode straight into that tensor."""
    fits = target.shape == shape and target.dtype == dtype and target.is_contiguous()
    return fits and target.device.type == "cpu" and not target.requires_grad


def _check_out(target: Tensor, piece: Tensor, dtype: torch.dtype | None) -> None:
    if target.shape != piece.shape or dtype not in (None, target.dtype):
        raise UnsupportedInput(
            f"a tensor of {target.dtype} {tuple(target.shape)} to write {tuple(piece.shape)} to, with dtype={dtype}",
            "give one of the record's shape, and no other dtype",
        )


def cells_of(header: Header, parts: Sequence[int] | None, items: Sequence[int] | None) -> Sequence[int]:
    """Return the requested items, or the requested parts of a group, and refuse a grid that no codec writes."""
    several = header.parts > 1 and header.items > 1
    layers = len(header.partitions)
    if several or any(header.partitions) or (layers != 1 and not issubclass(CODECS.by_number(header.number), Layered)):
        raise CorruptRecord(
            f"{header.items} items x {header.parts} parts in {layers} layers cut {header.partitions}; "
            f"codec number {header.number} writes items or parts, not both, in layers that are whole"
        )
    for axis, requested, count in (("parts", parts, header.parts), ("items", items, header.items)):
        if requested is not None and not all(0 <= number < count for number in requested):
            raise UnsupportedInput(
                f"{axis} {list(requested)} of a record that has {count}", f"give numbers from 0 to {count - 1}"
            )
    if header.parts > 1:
        return range(header.parts) if parts is None else parts
    return range(header.items) if items is None else items
