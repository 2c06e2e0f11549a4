"""A session: a storage at one snapshot, with its profiles and catalog, and the publishing of commits."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from lamofc_store.commits import ChangeBuilder, Profiles, Snapshot, changes, log
from lamofc_store.errors import ReadOnly
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import duckdb

    from lamofc_catalog import Catalog
    from lamofc_store.commits import Segment


class Session:
    """A storage pinned to one snapshot until `refresh` or a commit of its own.

    The verbs (ingest, read, forget, compact, ...) are functions of a session. `Store` is the session that users hold:
    it has the verbs as methods.
    """

    def __init__(self, storage: Storage, snapshot: Snapshot, mode: str, *, pinned: bool = False) -> None:
        self.storage = storage
        self.snapshot = snapshot
        self.mode = mode
        self.profiles = Profiles(storage)
        self._pinned = pinned
        self._catalog: tuple[int, Catalog] | None = None
        """Number of the snapshot, and the catalog that was opened last."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url} at commit {self.head}, mode {self.mode!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.storage, self.snapshot, self.mode, self._pinned)

    def close(self) -> None:
        """Close files and connections. Committed work is safe without it."""
        if self._catalog is not None:
            self._catalog[1].close()
            self._catalog = None
        self.storage.close()

    @property
    def url(self) -> str:
        """Path or URL of the store."""
        return self.storage.url

    @property
    def head(self) -> int:
        """Number of the commit after which this snapshot stands; -1 before the first."""
        return self.snapshot.n

    def refresh(self) -> Self:
        """Move to the newest snapshot; a store opened `as_of` stays where it is."""
        if not self._pinned:
            self.snapshot = log.catch_up(self.storage, self.snapshot)
        return self

    def as_of(self, commit: int) -> Self:
        """Open this store as it was after a commit, for reading."""
        return type(self)(self.storage, log.load(self.storage, commit), "r", pinned=True)

    @property
    def catalog(self) -> "Catalog":
        """The rows of this snapshot."""
        return self.catalog_of(self.snapshot)

    def catalog_of(self, snapshot: Snapshot) -> "Catalog":
        """Open the rows of a snapshot; the last catalog stays open."""
        from lamofc_store.commits import catalog_tables

        last = self._catalog
        if last is None or last[0] != snapshot.n:
            # The previous catalog is not closed: relations, and other threads, may still read through it.
            with log.detect_expiry(self.storage, snapshot.n):
                last = self._catalog = (snapshot.n, catalog_tables.open_catalog(self.storage, snapshot))
        return last[1]

    @property
    def features(self) -> list[str]:
        """Names of all features, sorted."""
        return [row[0] for row in self._rows("SELECT feature FROM features ORDER BY 1")]

    def find(self, where: str) -> list[str]:
        """Find the samples for which a SQL predicate over their columns holds; gives their ids, sorted."""
        query = f"SELECT sample FROM samples WHERE (\n{where}\n) ORDER BY 1"  # noqa: S608 - the user's own predicate
        return [row[0] for row in self._rows(query)]

    def sql(
        self, query: str, params: Sequence[Any] | None = None, *, locked: bool = False, seconds: float | None = None
    ) -> "duckdb.DuckDBPyRelation":
        """Query the catalog: views samples records features whole_samples totals profiles commits runs metrics skipped.

        `locked` is for queries of people who are not trusted: one SELECT, no files, no network, no settings. After
        `seconds`, by default 60 of a locked query, it is stopped and the relation gives no more rows. A statement that
        has none, such as CREATE TABLE, answers `done = true`; it changes a database in memory, never the store.
        """
        with log.detect_expiry(self.storage, self.head):
            return (self.catalog.locked() if locked else self.catalog).sql(query, params, seconds=seconds)

    def _rows(self, query: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Fetch all rows of a query at once."""
        from lamofc_catalog import translated

        with log.detect_expiry(self.storage, self.head), translated(query):
            return self.sql(query, params).fetchall()

    def _value(self, query: str, params: Sequence[Any] | None = None) -> Any:
        rows = self._rows(query, params)
        return rows[0][0] if rows else None

    def publish(self, build: ChangeBuilder) -> int:
        """Commit a change and move to the snapshot after it; gives its number."""
        self.require_writable()
        self.snapshot = log.publish(self.storage, self.snapshot, build)
        return self.head

    def require_writable(self) -> None:
        """Raise ReadOnly unless the store was opened for writing."""
        if self.mode == "r":
            raise ReadOnly(f"{self.url} was opened for reading", "open it with mode='r+' or 'a'")

    @property
    def context(self) -> changes.Context:
        """The context in which changes to this store are worked out."""
        return changes.Context(self.storage, self.catalog_of)

    def fingerprints(self, samples: Iterable[str]) -> list[dict[str, Any]]:
        """Look up key, codec, quality, profile and source hash of all features of some samples."""
        columns = ("sample", "feature", "codec", "quality", "profile", "source_hash")
        with log.detect_expiry(self.storage, self.head):
            return list(self.catalog.lookup(list(samples), columns=columns).to_pylist())

    def commit(self, segments: "Sequence[Segment]", *, overwrite: bool = False) -> int:
        """Make written segments visible, all at once: the second phase of an ingest, after `write`."""
        if not segments:
            return self.head
        return self.publish(
            lambda head: changes.add_segments(self.context, segments, head, overwrite=overwrite, note={})
        )


def _reopen(cls: type[Session], storage: Storage, snapshot: Snapshot, mode: str, pinned: bool) -> Session:
    return cls(storage, snapshot, mode, pinned=pinned)
