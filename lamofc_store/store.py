"""A store at one snapshot: the face of everything that can be done with it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lamofc_store.commits import changes, log
from lamofc_store.errors import BadArgument
from lamofc_store.session import Session

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    import zarr

    from lamofc_codecs import Quality
    from lamofc_store.commits import Segment
    from lamofc_store.ingest import Report
    from lamofc_store.loading import DatasetOptions, FeatureDataset, Target
    from lamofc_store.maintenance import Collection, Compaction, Forgotten, Verification


class Store(Session):
    """A feature store, pinned to the snapshot that it was opened at until `refresh` or a commit of its own."""

    # Reading

    def __len__(self) -> int:
        return int(self._value("SELECT count(*) FROM samples"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.find("true"))

    def __contains__(self, sample: object) -> bool:
        with log.detect_expiry(self.storage, self.head):
            return isinstance(sample, str) and bool(changes.existing_samples(self.catalog, [sample]))

    def __getitem__(self, key: "str | tuple[str, str]") -> Any:
        """`store[sample, feature]`: one tensor. `store[sample]`: all of its features by name."""
        if not isinstance(key, tuple):
            return self.tensors(key)
        if len(key) != 2:
            raise _no_key(key)
        sample, feature = key
        return self.tensors(sample, [feature])[feature]

    def tensors(
        self, sample: str, features: Sequence[str] | None = None, quality: "Quality | None" = None
    ) -> "dict[str, torch.Tensor]":
        """A sample's features by name, each in its own shape and dtype; with a `quality`, only as good as that."""
        from lamofc_store.reading import read_sample

        if not all(isinstance(name, str) for name in (sample, *(features or ()))):
            raise _no_key(sample if features is None else (sample, *features))
        return read_sample(self, sample, features, quality)

    def get(self, sample: str, features: Sequence[str] | None = None, quality: "Quality | None" = None) -> Any:
        """A sample as its source gave it, nested if it was; a flat mapping when only some features are asked for.

        Of records in layers only as much is read as the `quality` needs: `Quality(snr_db=11)`, `mse=` or `bpfp=`.
        """
        from lamofc_store.sample import add_features, restore

        tensors = self.tensors(sample, features, quality)
        text = self._value("SELECT structure FROM samples WHERE sample = ?", [sample]) if features is None else None
        return restore(tensors, add_features(text, tensors))

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
        from lamofc_store.loading import FeatureDataset

        return FeatureDataset(self, features, target=target, where=where, **options)

    @property
    def zarr(self) -> "zarr.Group":
        """The decoded features as read-only Zarr arrays, one chunk a sample."""
        from lamofc_store.zarr_view import group

        return group(self)

    # Writing

    def ingest(self, source: Any, codec: str = "klt", quality: "Quality | None" = None, **options: Any) -> "Report":
        """Take in a path, an iterable of samples, or what `sources.open` gave; `IngestOptions` names the options."""
        from lamofc_store.ingest import Ingest, prepared

        self.require_writable()
        samples, chosen = prepared(source, codec, quality, options)
        return Ingest(self, chosen).run(samples)

    def write(
        self, source: Any, codec: str = "klt", quality: "Quality | None" = None, **options: Any
    ) -> "list[Segment]":
        """The first half of `ingest`: write segments that no commit names yet; pickle them to whoever commits."""
        from lamofc_store.ingest import Ingest, prepared

        self.require_writable()
        samples, chosen = prepared(source, codec, quality, options)
        run = Ingest(self, chosen, commit=False)
        run.run(samples)
        return run.segments

    def forget(self, samples: Sequence[str]) -> "Forgotten":
        """Take samples out of the state. Their bytes stay in older snapshots until `compact` and `gc`."""
        from lamofc_store.maintenance import forget

        return forget(self, samples)

    def annotate(self, table: "str | Path | pa.Table | Mapping[str, Mapping[str, Any]]") -> int:
        """Add columns, or values, to samples that are there; the last value that is not absent wins."""
        from lamofc_store.maintenance import annotate

        return annotate(self, table)

    def verify(self, **options: Any) -> "Verification":
        """Read everything and compare every checksum."""
        from lamofc_store.maintenance import verify

        return verify(self, **options)

    def compact(self, **options: Any) -> "Compaction":
        """Move live records out of segments that are mostly dead, or small, into new ones."""
        from lamofc_store.maintenance import compact

        return compact(self, **options)

    def gc(self, keep: str = "7d", *, dry_run: bool = False) -> "Collection":
        """Expire snapshots older than `keep` and delete what no kept snapshot reaches."""
        from lamofc_store.maintenance import collect

        return collect(self, keep, dry_run=dry_run)


def _no_key(key: object) -> BadArgument:
    return BadArgument(
        f"{key!r} is no key of a store: a key is a sample's id, or an id and a feature's name",
        "write store['img_0001'] or store['img_0001', 'layer.39']; list(store) gives the ids",
    )
