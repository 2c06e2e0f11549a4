"""Symbols of many blocks at once, on the device where they are needed: one launch for all streams of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import BAD_FRAME, STREAM_ERRORS, Tables, list_streams, rans
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.runtime import as_bytes, devices

_PADDING = 4
"""Bytes after the last one, so that whole words may be read."""


class BatchBytes:
    """The coded bytes of a batch, on the host and on a device; errors found on the device are raised at the end."""

    def __init__(self, pieces: Sequence[memoryview], device: torch.device) -> None:
        """Copy the pieces to the device, end to end, in one go."""
        self.device = device
        self.starts = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        self.host = np.frombuffer(bytearray(b"".join(pieces)) + bytes(_PADDING), np.uint8)
        self.on_device = torch.from_numpy(self.host).to(device)
        self._error_codes: list[Tensor] = []

    def decode(self, spans: NDArray[np.int64], counts: NDArray[np.int64], rows: Tensor, tables: Tables) -> Tensor:
        """Decode blocks to symbols, end to end; `rows` are the tables of all blocks' rows, on the device."""
        if self.device.type not in devices.TRITON:
            blocks = rans.Blocks(self.host, spans, counts)
            return torch.from_numpy(rans.decode_blocks(blocks, rows.cpu().numpy().astype(np.uint16), tables))
        from lamofc_codecs.entropy import rans_gpu

        streams, bad = list_streams(as_bytes(self.host), np.ascontiguousarray(spans), counts)
        if bad >= 0:
            raise CorruptRecord(f"rANS block {bad} of {len(counts)}: {STREAM_ERRORS[BAD_FRAME]}")
        out = torch.empty(int(counts.sum()), dtype=torch.uint8, device=self.device)
        slots = _slots(tables, self.device)
        listed = torch.from_numpy(streams).to(self.device)
        self._error_codes.append(rans_gpu.decode_listed(self.on_device, listed, rows.to(torch.int32), slots, out))
        return out

    def add_error_codes(self, codes: Tensor) -> None:
        """Remember codes that are not 0 where something is wrong, to be checked when all is decoded."""
        self._error_codes.append(codes.reshape(-1).to(torch.int32))

    def check(self) -> None:
        """Raise if any code is not 0: the one time that the host waits for the device."""
        if self._error_codes:
            worst = int(torch.cat([codes.to(self.device) for codes in self._error_codes]).max())
            if worst:
                raise CorruptRecord(f"a stream of the batch: {STREAM_ERRORS.get(worst, 'a level too large to refine')}")


@cache
def _slots(tables: Tables, device: torch.device) -> Tensor:
    return torch.from_numpy(tables.slots.view(np.int32)).to(device)
