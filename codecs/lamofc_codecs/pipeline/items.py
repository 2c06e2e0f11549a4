"""Cut a record down to some of its items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch

from lamofc_codecs.abilities import Sliceable
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.pipeline.decode_record import allocate
from lamofc_codecs.profile import Profile
from lamofc_codecs.record import Buffer, pack, parse, sections
from lamofc_codecs.registry import codec_for


def keep(record: Buffer, profile: Profile, items: Sequence[int]) -> bytes:
    """Return a record of some items of a record that holds several.

    Each item decodes to the same values as before, and no trace of the others remains. All layers of the record must be
    present; the new record has as many.
    """
    header = parse(record)
    codec, grid, layers = codec_for(header, {profile.id[:32]: profile}), header.grid, sections(record, header)
    chosen = list(items)
    valid = chosen == sorted(set(chosen)) and chosen and chosen[0] >= 0 and chosen[-1] < grid.items
    if not valid or grid.parts > 1 or len(layers) < len(header.partitions):
        raise UnsupportedInput(
            f"items {chosen[:9]} of a record of {grid.items} items x {grid.parts} parts, {len(layers)} of its layers",
            "give numbers of items that it has, rising, and all layers of a record of one feature",
        )
    if not isinstance(codec, Sliceable):
        raise UnsupportedInput(f"codec {codec.id} cannot take items out of a record", "decode and code them anew")
    ends, dtype = [*accumulate(grid.tokens, initial=0)], getattr(torch, grid.dtypes[0])
    codec.check_length(layers, ends[-1] * grid.channels[0] * dtype.itemsize)
    decoded = allocate((ends[-1], grid.channels[0]), dtype)
    codec.decode(layers, decoded)
    rows = np.concatenate([np.arange(ends[item], ends[item + 1]) for item in chosen])
    kept_layers = codec.keep(layers, decoded, rows) if len(rows) else [b""] * len(layers)
    kept_grid = replace(grid, tokens=tuple(grid.tokens[item] for item in chosen))
    return pack(header.number, header.profile, kept_grid, [[layer] for layer in kept_layers])
