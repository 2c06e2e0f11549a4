"""Batches of records decoded to tensors on a device: together if the codec can, or one by one on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lamofc_codecs.abilities import OnDevice
from lamofc_codecs.codec import Codec
from lamofc_codecs.pipeline.decode_record import DecodeJob


def decode_on(device: torch.device, jobs: Sequence[DecodeJob]) -> list[list[Tensor]]:
    """Decode all jobs to tensors on a device, those of one codec in one call."""
    results: list[list[Tensor]] = [[] for _ in jobs]
    batches: dict[Codec, list[int]] = {}
    for number, job in enumerate(jobs):
        batches.setdefault(job.codec, []).append(number)
    for codec, numbers in batches.items():
        if isinstance(codec, OnDevice):
            decoded = codec.decode_on_device([jobs[number].request() for number in numbers], device)
            for number, parts in zip(numbers, decoded, strict=True):
                results[number] = jobs[number].cells_of_parts(parts)
        else:
            for number in numbers:
                results[number] = [tensor.to(device) for tensor in jobs[number].run()]
    return results
