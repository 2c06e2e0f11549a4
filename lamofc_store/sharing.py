"""Equal features of many samples, as negative prompts are: kept once a segment, with a row for each sample."""

from collections.abc import Callable, Iterable

from lamofc_store.items import Item


def told_apart(items: Iterable[Item], held: Callable[[Item], bool]) -> tuple[list[Item], list[Item]]:
    """Items whose content is not held yet, each content once; and the others, which need a row only."""
    first: dict[tuple[object, ...], Item] = {}
    again = []
    for item in items:
        if held(item) or first.setdefault(item.content, item) is not item:
            again.append(item)
    return list(first.values()), again
