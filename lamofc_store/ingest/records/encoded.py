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
    """Divergence of a consumer's answers in nats, where it was measured: the record's share, by what was foretold."""
    guided: bool = False
    """Whether its errors are where the consumer does not feel them, which holds for all of its layers together only."""

    @property
    def foretold(self) -> float | None:
        """Divergence in nats that the profile foretells of the record; None where it knows no errors in nats."""
        error, nats = self.record.weighted_sse, self.nats_per_error(self.items[0])
        return None if error is None or nats is None else error * nats

    def nats_per_error(self, item: Item) -> float | None:
        """Divergence in nats that the profile foretells for each unit of an item's weighted squared error."""
        nats, tokens = self.profile.config.get("nats"), len(item.tokens)
        if self.record.weighted_sse is None or not isinstance(nats, int | float) or not tokens:
            return None
        return nats / tokens

    @property
    def name(self) -> str:
        """The feature, or the joined features of a group: the name under which commits list the profile."""
        return "+".join(dict.fromkeys(item.feature for item in self.items))
