"""Small features of neighbouring samples, coded in one record: smaller and faster than a record each."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamofc_codecs import Profile
    from lamofc_store.ingest.feature_items import Item

SMALL = 1 << 12
"""Elements up to which a feature of a sample is small."""
EACH = 1 << 10
"""Elements of a block, for each item that it may have: what one read of one sample may have to decode."""


def blocks(items: "Sequence[Item]", profile: "Profile", most: int) -> "Iterator[list[Item]]":
    """Items of one feature as they are to stand in records: side by side where they are small, at most so many."""
    from lamofc_codecs import Blockable, open_codec

    codec = open_codec(profile)
    blockable = codec if isinstance(codec, Blockable) else None
    for _, alike in groupby(items, key=lambda item: (item.dtype, item.tokens.shape[1])):
        block: list[Item] = []
        size = 0
        for item in alike:
            elements = item.tokens.numel()
            gains = blockable is not None and blockable.gains_from_blocks(len(item.tokens))
            alone = elements > SMALL or not gains
            if block and (alone or len(block) >= most or size + elements > EACH * most):
                yield block
                block, size = [], 0
            block.append(item)
            size += elements
            if alone:
                yield block
                block, size = [], 0
        if block:
            yield block
