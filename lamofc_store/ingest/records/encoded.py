"""A record as an ingest makes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamofc_store.ingest.items import Item

if TYPE_CHECKING:
    from lamofc_codecs import Profile, Record


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record, the items in it, and how it was made."""

    items: Sequence[Item]
    record: "Record"
    profile: "Profile"
    quality: str
    seconds: float
    """Time of encoding, for each item."""
    divergence: float | None = None
    """Divergence of a consumer's answers to the record in nats, where it was measured."""

    @property
    def name(self) -> str:
        """The feature, or the joined features of a group: the name under which commits list the profile."""
        return "+".join(dict.fromkeys(item.feature for item in self.items))
