"""Equal features of many samples, such as negative prompts: stored once a segment, with a row for each sample."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from lamofc_store.ingest.items import Item


def distinct(items: Iterable[Item], is_stored: Callable[[Item], bool]) -> list[Item]:
    """Return the items to encode: those whose content is not stored yet, each content once."""
    first: dict[tuple[object, ...], Item] = {}
    for item in items:
        if not is_stored(item):
            first.setdefault(item.content, item)
    return list(first.values())


def divide_payloads(rows: Sequence[dict[str, Any]]) -> None:
    """Divide the payload of a record among its rows by elements, where several rows point at the same item of it."""
    for _, neighbours in groupby(rows, key=lambda row: row["record"]):
        of_record = list(neighbours)
        cells = {(row["item"], row["part"]): row["payload_bits"] for row in of_record}
        if len(cells) == len(of_record):
            continue
        payload, elements = sum(cells.values()), sum(row["elements"] for row in of_record)
        for row in of_record:
            share = row["elements"] / elements if elements else 1 / len(of_record)
            row["payload_bits"] = int(payload * share)
