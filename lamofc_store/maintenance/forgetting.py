"""Forgetting: a commit removes samples from the state; compact and gc remove their bytes later."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamofc_store.commits import Change, Snapshot, changes
from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from lamofc_store.session import Session


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The result of a forget."""

    samples: int
    records: int
    commit: int
    note: str = "the bytes stay in older snapshots until lamofc compact and lamofc gc"


def forget(store: "Session", samples: Sequence[str]) -> Forgotten:
    """Commit the removal of samples; all of them must exist."""
    identities = _unique_ids(samples)
    if not identities:
        raise BadArgument("no sample is named", "give at least one sample id")
    records: list[int] = []

    def build(head: Snapshot) -> Change:
        change = changes.forget(store.context, identities, head)
        records.append(-int(change.note["records"]))
        return change

    commit = store.publish(build)
    return Forgotten(len(identities), records[-1], commit)


def _unique_ids(samples: Sequence[str]) -> list[str]:
    """Return each sample's id once, in order, or refuse what is no list of ids."""
    named = [samples] if isinstance(samples, str) or not isinstance(samples, Iterable) else list(samples)
    if not all(isinstance(sample, str) for sample in named):
        raise BadArgument(f"samples={samples!r} is no list of ids", "write ['img_0001']; list(store) gives the ids")
    return list(dict.fromkeys(named))
