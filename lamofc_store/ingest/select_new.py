"""Select the items of a source that the store does not hold yet."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import ProfileKey
from lamofc_store.errors import Conflict, Expired, Hint
from lamofc_store.ingest.items import Item
from lamofc_store.ingest.records import StoredItem
from lamofc_store.ingest.request import IngestOptions

if TYPE_CHECKING:
    from lamofc_store.session import Session


@dataclass(frozen=True, slots=True)
class Selection:
    """The items of a batch that are to be encoded, and how many others are stored."""

    new: list[Item]
    already: int


def select_new(
    session: "Session",
    items: Iterable[Item],
    coding_of: Callable[[Item], IngestOptions],
    pending: Mapping[tuple[str, str], StoredItem],
) -> Selection:
    """Select items that neither the store nor the open segment holds.

    `pending` are the items of the open segment. Conflict where a key is stored with other content or another
    coding, unless the options say to overwrite, and where the source gives a key twice with different content.
    """
    items = list(items)
    rows = {(row["sample"], row["feature"]): row for row in _stored_rows(session, {item.sample for item in items})}
    new: dict[tuple[str, str], Item] = {}
    already = 0
    for item in items:
        earlier = pending.get(item.key) or new.get(item.key)
        if earlier is not None:
            if earlier.source_hash != item.source_hash:
                raise Conflict(
                    f"the source gives sample {item.sample!r}, feature {item.feature!r} twice, unlike each other",
                    "give each sample an id of its own",
                )
        elif item.key in rows and _is_stored(session, item, coding_of(item), rows[item.key]):
            already += 1
        else:
            new[item.key] = item
    return Selection(list(new.values()), already)


def _stored_rows(session: "Session", samples: set[str]) -> list[dict[str, Any]]:
    """Return the fingerprints of some samples; from a later snapshot where this one expired meanwhile."""
    while True:
        try:
            return session.fingerprints(samples)
        except Expired:
            session.refresh()


def _is_stored(session: "Session", item: Item, coding: IngestOptions, row: dict[str, Any]) -> bool:
    """Whether a row is this item under this coding; Conflict where it is another that must not be overwritten."""
    codec = _codec_of(session, row, coding)
    same_coding = row["profile"] == coding.profile.id if coding.profile else codec == coding.codec
    if same_coding and (row["source_hash"], row["quality"]) == (item.source_hash, coding.quality_text):
        return True
    if coding.overwrite:
        return False
    stored = " ".join(filter(None, (codec, row["quality"])))
    difference = "content" if row["source_hash"] != item.source_hash else f"coding ({stored})"
    raise Conflict(
        f"sample {item.sample!r}, feature {item.feature!r} is there with other {difference}",
        Hint("give [overwrite] to replace it, or the codec and quality that it was stored with"),
    )


def _codec_of(session: "Session", row: dict[str, Any], coding: IngestOptions) -> str:
    """Return the codec that a row was meant for, though the record itself may be lossless.

    That is the codec of its profile. A lossless row with the quality of another codec was stored so because there was
    nothing to fit a profile on.
    """
    from lamofc_codecs import LOSSLESS

    entry = session.snapshot.profiles.get(ProfileKey(row["profile"], row["feature"]))
    codec = entry.codec if entry else str(row["codec"])
    return coding.codec if codec == LOSSLESS and row["quality"] and row["quality"] == coding.quality_text else codec
