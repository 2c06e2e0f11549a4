"""Batches of records decoded to tensors on a device: together where a codec can, on the CPU and copied otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lamofc_codecs.codec import Codec, OnDevice
from lamofc_codecs.pipeline.decode_record import Decoding


def decode_on(device: torch.device, jobs: Sequence[Decoding]) -> list[list[Tensor]]:
    """Decode all jobs to tensors on a device, those of one codec in one call."""
    found: list[list[Tensor]] = [[] for _ in jobs]
    batches: dict[Codec, list[int]] = {}
    for number, job in enumerate(jobs):
        if isinstance(job.codec, OnDevice):
            batches.setdefault(job.codec, []).append(number)
        else:
            found[number] = [tensor.to(device) for tensor in job.run()]
    for codec, numbers in batches.items():
        assert isinstance(codec, OnDevice)  # noqa: S101 - only those were put into batches
        decoded = codec.decode_on_device([jobs[number].wanted() for number in numbers], device)
        for number, parts in zip(numbers, decoded, strict=True):
            found[number] = jobs[number].taken(parts)
    return found
