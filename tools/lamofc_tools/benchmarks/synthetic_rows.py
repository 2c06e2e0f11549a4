"""Synthetic catalog rows: records of one segment, with random values where real data cannot be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa

FEATURES = 10
"""Features of each sample."""
TOKENS, CHANNELS = 1029, 1024
_ENCODED_TOGETHER = 64
"""Records that share a value of `encode_seconds`, as those of one batch do."""


def sample_ids(start: int, count: int, *, hashed: bool = False) -> list[str]:
    """Make the ids of samples in order of ingest: `img_0001234`, or 16 random hexadecimal digits."""
    if not hashed:
        return [f"img_{number:07d}" for number in range(start, start + count)]
    return [blake2b(str(number).encode(), digest_size=8).hexdigest() for number in range(start, start + count)]


def ulid(number: int, letter: str) -> str:
    """Make a name with the length and the order of a ulid."""
    return f"01J8Z{letter}{blake2b(str(number).encode(), digest_size=8).hexdigest().upper()}{number:04d}"


def record_rows(ids: Sequence[str], commit: int, generator: np.random.Generator) -> pa.Table:
    """Make the rows of one segment: features of 1029 x 1024, stored feature by feature."""
    count = len(ids)
    rows = count * FEATURES
    layer = np.repeat(np.arange(FEATURES), count)
    length = generator.normal(20_000 + 1_000 * layer, 900).astype(np.int64)
    elements = TOKENS * CHANNELS
    signal = elements * generator.lognormal(0, 0.2, rows) * (1 + layer)
    sse = signal * 10**-1.5 * generator.lognormal(0, 0.05, rows)
    names = [f"layer.{number}" for number in range(FEATURES)]
    profiles = [blake2b(name.encode(), digest_size=32).hexdigest() for name in names]

    def constant(value: str) -> pa.Array:
        return pa.repeat(value, rows)

    return pa.table(
        {
            "sample": pa.array(list(ids) * FEATURES),
            "feature": pa.array(names).take(pa.array(layer)),
            "segment": constant(ulid(commit, "S")),
            "record": pa.array(np.arange(rows, dtype=np.int32)),
            "item": pa.array(np.zeros(rows, np.int32)),
            "part": pa.array(np.zeros(rows, np.int16)),
            "offset": np.cumsum(length) - length,
            "length": length,
            "shape": pa.FixedSizeListArray.from_arrays(pa.array(np.tile([TOKENS, CHANNELS], rows), pa.int32()), 2).cast(
                pa.list_(pa.int32())
            ),
            "dtype": constant("float16"),
            "pattern": constant("t c -> t c"),
            "codec": constant("klt"),
            "quality": constant("snr_db=15"),
            "profile": pa.array(profiles).take(pa.array(layer)),
            "source_hash": generator.integers(0, 2**64, rows, dtype=np.uint64),
            "elements": np.full(rows, elements),
            "sum": generator.normal(0, 1, rows) * 1e4,
            "sum_sq": signal * (1 + generator.random(rows)),
            "sse": sse,
            "max_error": np.sqrt(sse / elements) * 5 * generator.lognormal(0, 0.1, rows),
            "signal": signal,
            "bulk_sse": sse,
            "payload_bits": 8 * length - 1_000 - generator.integers(0, 32, rows),
            "encode_seconds": np.repeat(generator.random(rows // _ENCODED_TOGETHER + 1) * 1e-3, _ENCODED_TOGETHER)[
                :rows
            ],
        }
    )


def sample_rows(ids: Sequence[str], generator: np.random.Generator) -> pa.Table:
    """Make the rows of some samples: a label and a split."""
    return pa.table(
        {"sample": list(ids), "label": generator.integers(0, 1000, len(ids)), "split": ["train"] * len(ids)}
    )
