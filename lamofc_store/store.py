"""A store at one snapshot: the face of everything that can be done with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lamofc_store import changes, log
from lamofc_store.errors import ReadOnly
from lamofc_store.log import Build
from lamofc_store.profiles import Profiles
from lamofc_store.snapshot import Snapshot
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import torch
    import zarr

    from lamofc_catalog import Catalog
    from lamofc_codecs import Quality
    from lamofc_store.collect import Collection
    from lamofc_store.compaction import Compaction
    from lamofc_store.dataset import DatasetOptions, FeatureDataset, Target
    from lamofc_store.forgetting import Forgotten
    from lamofc_store.options import Report
    from lamofc_store.verification import Verification
    from lamofc_store.writer import Segment


class Store:
    """A feature store, pinned to the snapshot that it was opened at until `refresh` or a commit of its own."""

    def __init__(self, storage: Storage, snapshot: Snapshot, mode: str, *, pinned: bool = False) -> None:
        self.storage = storage
        self.snapshot = snapshot
        self.mode = mode
        self.profiles = Profiles(storage)
        self._pinned = pinned
        self._catalog: tuple[int, bool, Catalog] | None = None

    def __repr__(self) -> str:
        return f"<Store {self.url} at commit {self.head}, mode {self.mode!r}>"

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.storage, self.snapshot, self.mode, self._pinned)

    def close(self) -> None:
        """Give back files and connections; what was committed is safe without it."""
        if self._catalog is not None:
            self._catalog[2].close()
            self._catalog = None
        self.storage.close()

    @property
    def url(self) -> str:
        """Where the store is."""
        return self.storage.url

    @property
    def head(self) -> int:
        """The number of the commit whose snapshot this is; -1 before the first."""
        return self.snapshot.n

    def refresh(self) -> "Store":
        """Move to the newest snapshot; a store opened `as_of` stays where it is."""
        if not self._pinned:
            self.snapshot = log.advance(self.storage, self.snapshot)
        return self

    def as_of(self, commit: int) -> "Store":
        """This store as it was after a commit, for reading."""
        return Store(self.storage, log.load(self.storage, commit), "r", pinned=True)

    @property
    def catalog(self) -> "Catalog":
        """The rows of this snapshot."""
        return self.catalog_of(self.snapshot)

    def catalog_of(self, snapshot: Snapshot, *, with_log: bool = False) -> "Catalog":
        """The rows of a snapshot; the last one asked for is kept. Only `with_log` its view `commits` is filled."""
        from lamofc_store import tables

        kept = self._catalog
        if kept is None or kept[0] != snapshot.n or kept[1] < with_log:
            # The one before is not closed: relations, and other threads, may still be reading through it.
            with log.while_kept(self.storage, snapshot.n):
                kept = self._catalog = (snapshot.n, with_log, tables.catalog(self.storage, snapshot, with_log=with_log))
        return kept[2]

    # Reading

    def __len__(self) -> int:
        return int(self._value("SELECT count(*) FROM samples"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.find("true"))

    def __contains__(self, sample: object) -> bool:
        with log.while_kept(self.storage, self.head):
            return isinstance(sample, str) and bool(changes.present(self.catalog, [sample]))

    def __getitem__(self, key: "str | tuple[str, str]") -> Any:
        """`store[sample, feature]`: one tensor. `store[sample]`: all of its features by name."""
        if isinstance(key, tuple):
            sample, feature = key
            return self.tensors(sample, [feature])[feature]
        return self.tensors(key)

    def tensors(
        self, sample: str, features: Sequence[str] | None = None, quality: "Quality | None" = None
    ) -> "dict[str, torch.Tensor]":
        """A sample's features by name, each in its own shape and dtype; with a `quality`, only as good as that."""
        from lamofc_store.reading import tensors

        return tensors(self, sample, features, quality)

    def get(self, sample: str, features: Sequence[str] | None = None, quality: "Quality | None" = None) -> Any:
        """A sample as its source gave it, nested if it was; a flat mapping when only some features are asked for.

        Of records in layers only as much is read as the `quality` needs: `Quality(snr_db=11)`, `mse=` or `bpfp=`.
        """
        from lamofc_store.structure import completed, restore

        tensors = self.tensors(sample, features, quality)
        text = self._value("SELECT structure FROM samples WHERE sample = ?", [sample]) if features is None else None
        return restore(tensors, completed(text, tensors))

    @property
    def features(self) -> list[str]:
        """Names of all features."""
        return [row[0] for row in self._rows("SELECT feature FROM features ORDER BY 1")]

    def find(self, where: str) -> list[str]:
        """Ids of the samples that a SQL predicate over their columns holds for, sorted."""
        query = f"SELECT sample FROM samples WHERE (\n{where}\n) ORDER BY 1"  # noqa: S608 - the user's own predicate
        return [row[0] for row in self._rows(query)]

    def sql(
        self, query: str, params: Sequence[Any] | None = None, *, locked: bool = False
    ) -> "duckdb.DuckDBPyRelation":
        """Ask the catalog: views samples records features profiles commits runs metrics skipped.

        `locked` is for queries of people who are not trusted: one SELECT, no files, no network, no settings.
        """
        with log.while_kept(self.storage, self.head):
            catalog = self.catalog_of(self.snapshot, with_log="commit" in query.lower())
            return (catalog.locked() if locked else catalog).sql(query, params)

    def _rows(self, query: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query, read at once."""
        from lamofc_catalog import translated

        with log.while_kept(self.storage, self.head), translated(query):
            return self.sql(query, params).fetchall()

    def _value(self, query: str, params: Sequence[Any] | None = None) -> Any:
        rows = self._rows(query, params)
        return rows[0][0] if rows else None

    def info(self) -> dict[str, Any]:
        """Sizes, and one entry a feature: rate, distortion, bytes."""
        relation = self.sql("SELECT * FROM features ORDER BY feature")
        features = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
        return {
            "url": self.url,
            "head": self.head,
            "samples": len(self),
            "records": int(self._value("SELECT count(*) FROM records")),
            "segments": len(self.snapshot.segments),
            "bytes": sum(entry.bytes for entry in self.snapshot.segments.values()),
            "features": features,
        }

    def log(self) -> list[dict[str, Any]]:
        """The commits, newest first."""
        relation = self.sql("SELECT * FROM commits ORDER BY n DESC")
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    def dataset(
        self,
        features: Sequence[str],
        target: "Target | None" = None,
        where: str | None = None,
        **options: "Unpack[DatasetOptions]",
    ) -> "FeatureDataset":
        """A map-style torch Dataset of samples that have all those features, decoded when read.

        Options: `quality` or `max_bpfp`, of records in layers only as much is read as they need; `cache`, a local
        folder for what is read from a remote store.
        """
        from lamofc_store.dataset import FeatureDataset

        return FeatureDataset(self, features, target=target, where=where, **options)

    @property
    def zarr(self) -> "zarr.Group":
        """The decoded features as read-only Zarr arrays, one chunk a sample."""
        from lamofc_store.zarr_view import group

        return group(self)

    # Writing

    def publish(self, build: Build) -> int:
        """Commit a change; the store then stands at the new snapshot."""
        self.require_writable()
        self.snapshot = log.publish(self.storage, self.snapshot, build)
        return self.head

    def require_writable(self) -> None:
        """ReadOnly unless the store was opened for writing."""
        if self.mode == "r":
            raise ReadOnly(f"{self.url} was opened for reading", "open it with mode='r+' or 'a'")

    @property
    def context(self) -> changes.Context:
        """Where changes to this store are worked out."""
        return changes.Context(self.storage, self.catalog_of)

    def fingerprints(self, samples: Iterable[str]) -> list[dict[str, Any]]:
        """Key, codec, quality, profile and source hash of what is there of some samples."""
        columns = ("sample", "feature", "codec", "quality", "profile", "source_hash")
        with log.while_kept(self.storage, self.head):
            return list(self.catalog.lookup(list(samples), columns=columns).to_pylist())

    def ingest(self, source: Any, codec: str = "klt", quality: "Quality | None" = None, **options: Any) -> "Report":
        """Take in a path, an iterable of samples, or what `sources.open` gave; `IngestOptions` names the options."""
        from lamofc_store.ingest import Ingest
        from lamofc_store.planning import prepared

        self.require_writable()
        samples, chosen = prepared(source, codec, quality, options)
        return Ingest(self, chosen).run(samples)

    def write(
        self, source: Any, codec: str = "klt", quality: "Quality | None" = None, **options: Any
    ) -> "list[Segment]":
        """The first half of `ingest`: write segments that no commit names yet; pickle them to whoever commits."""
        from lamofc_store.ingest import Ingest
        from lamofc_store.planning import prepared

        self.require_writable()
        samples, chosen = prepared(source, codec, quality, options)
        run = Ingest(self, chosen, commit=False)
        run.run(samples)
        return run.segments

    def commit(self, segments: "Sequence[Segment]", *, overwrite: bool = False) -> int:
        """The second half: make written segments visible, all at once."""
        if not segments:
            return self.head
        return self.publish(
            lambda head: changes.add_segments(self.context, segments, head, overwrite=overwrite, note={})
        )

    def forget(self, samples: Sequence[str]) -> "Forgotten":
        """Take samples out of the state. Their bytes stay in older snapshots until `compact` and `gc`."""
        from lamofc_store.forgetting import forget

        return forget(self, samples)

    def annotate(self, table: "str | Path | pa.Table | Mapping[str, Mapping[str, Any]]") -> int:
        """Add columns, or values, to samples that are there; the last value that is not absent wins."""
        from lamofc_store.annotation import annotate

        return annotate(self, table)

    def verify(self, **options: Any) -> "Verification":
        """Read everything and compare every checksum."""
        from lamofc_store.verification import verify

        return verify(self, **options)

    def compact(self, **options: Any) -> "Compaction":
        """Move live records out of segments that are mostly dead, or small, into new ones."""
        from lamofc_store.compaction import compact

        return compact(self, **options)

    def gc(self, keep: str = "7d", *, dry_run: bool = False) -> "Collection":
        """Expire snapshots older than `keep` and delete what no kept snapshot reaches."""
        from lamofc_store.collect import collect

        return collect(self, keep, dry_run=dry_run)


def _reopened(storage: Storage, snapshot: Snapshot, mode: str, pinned: bool) -> Store:
    return Store(storage, snapshot, mode, pinned=pinned)
