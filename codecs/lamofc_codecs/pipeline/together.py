"""Small records of one codec decoded together on the CPU, where its calls take longer than its work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lamofc_codecs.abilities import Batched
from lamofc_codecs.pipeline.decode_record import DecodeJob
from lamofc_codecs.runtime import MIN_DECODED, each

_SMALL = 1 << 17
"""Elements of a record up to which it is decoded with others."""
_BATCH = 1 << 19
"""Elements of records that are decoded together, at most."""


def decode_on_cpu(jobs: Sequence[DecodeJob]) -> list[list[Tensor]]:
    """Decode all jobs on the cores of the CPU."""
    elements = sum(job.header.grid.elements for job in jobs)
    count = max(1, min(round(elements / MIN_DECODED), torch.get_num_threads()))
    batches = list(_batches(jobs, -(-elements // count)))
    decoded = each(_decode, batches, elements, MIN_DECODED // 2)  # batches of whole records are not equally large
    return [cells for batch in decoded for cells in batch]


def _batches(jobs: Sequence[DecodeJob], at_once: int) -> Iterator[list[DecodeJob]]:
    """Divide the jobs, in their order, into those that are decoded together, of about so many elements."""
    batch: list[DecodeJob] = []
    elements = 0
    for job in jobs:
        own = job.header.grid.elements
        alone = own > _SMALL or not isinstance(job.codec, Batched)
        full = elements >= at_once or elements + own > _BATCH
        if batch and (alone or full or job.codec is not batch[0].codec):
            yield batch
            batch, elements = [], 0
        batch.append(job)
        elements += _BATCH if alone else own
    if batch:
        yield batch


def _decode(batch: list[DecodeJob]) -> list[list[Tensor]]:
    codec = batch[0].codec
    if len(batch) == 1 or not isinstance(codec, Batched):
        return [job.run() for job in batch]
    requests = [job.request() for job in batch]
    outs = [job.outs_of(request) for job, request in zip(batch, requests, strict=True)]
    codec.decode_batch(requests, outs)
    return [job.cells_of_outs(request, own) for job, request, own in zip(batch, requests, outs, strict=True)]
