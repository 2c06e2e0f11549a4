"""Blocks: small features of neighbouring samples in one record, smaller and faster than a record each."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamofc_codecs import Profile
    from lamofc_store.ingest.items import Item

MAX_SMALL_ELEMENTS = 1 << 12
"""Elements up to which a feature of a sample is small."""
ELEMENTS_PER_ITEM = 1 << 10
"""Elements of a block for each item that it may hold: a read of one sample may have to decode them all."""


def blocks(items: "Sequence[Item]", profile: "Profile", max_items: int) -> "Iterator[list[Item]]":
    """Yield the items of one feature grouped by record: up to `max_items` small ones share a record.

    The items of a record begin at one position of their sequences.
    """
    from lamofc_codecs import Blockable, open_codec

    codec = open_codec(profile)
    blockable = codec if isinstance(codec, Blockable) else None
    for _, alike in groupby(items, key=lambda item: (item.dtype, item.tokens.shape[1], item.first_position)):
        block: list[Item] = []
        size = 0
        for item in alike:
            elements = item.tokens.numel()
            gains = blockable is not None and blockable.gains_from_blocks(len(item.tokens))
            alone = elements > MAX_SMALL_ELEMENTS or not gains
            if block and (alone or len(block) >= max_items or size + elements > ELEMENTS_PER_ITEM * max_items):
                yield block
                block, size = [], 0
            block.append(item)
            size += elements
            if alone:
                yield block
                block, size = [], 0
        if block:
            yield block
