"""Forgetting samples: a commit that takes them out of the state; bytes go later, with compact and gc."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamofc_store.commits import Change, Snapshot, changes
from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from lamofc_store.session import Session

    pass


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a forget did."""

    samples: int
    records: int
    commit: int
    note: str = "the bytes stay in older snapshots until lamofc compact and lamofc gc"


def forget(store: "Session", samples: Sequence[str]) -> Forgotten:
    """Commit the forgetting of samples; all of them must be there."""
    wanted = list(dict.fromkeys([samples] if isinstance(samples, str) else samples))
    if not wanted:
        raise BadArgument("no sample is named", "give at least one sample id")
    done: list[int] = []

    def build(head: Snapshot) -> Change:
        change = changes.forget(store.context, wanted, head)
        done.append(-int(change.note["records"]))
        return change

    commit = store.publish(build)
    return Forgotten(len(wanted), done[-1], commit)
