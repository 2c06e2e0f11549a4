"""Equal features of many samples, as negative prompts are: kept once a segment, with a row for each sample."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from lamofc_store.ingest.feature_items import Item


def split_duplicates(items: Iterable[Item], held: Callable[[Item], bool]) -> tuple[list[Item], list[Item]]:
    """Items whose content is not held yet, each content once; and the others, which need a row only."""
    first: dict[tuple[object, ...], Item] = {}
    again = []
    for item in items:
        if held(item) or first.setdefault(item.content, item) is not item:
            again.append(item)
    return list(first.values()), again


def share_payloads(rows: Sequence[dict[str, Any]]) -> None:
    """Of a record that several rows tell the same item of, deal out the payload as its bytes are: by elements."""
    for _, some in groupby(rows, key=lambda row: row["record"]):
        mine = list(some)
        cells = {(row["item"], row["part"]): row["payload_bits"] for row in mine}
        if len(cells) == len(mine):
            continue
        payload, elements = sum(cells.values()), sum(row["elements"] for row in mine)
        for row in mine:
            share = row["elements"] / elements if elements else 1 / len(mine)
            row["payload_bits"] = int(payload * share)
