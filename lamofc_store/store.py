"""A store at one snapshot, with every verb as a method."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lamofc_store.commits import changes, log
from lamofc_store.defaults import BLOCK_CACHE_BYTES, DEFAULT_CODEC
from lamofc_store.errors import BadArgument
from lamofc_store.session import Session

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    import zarr

    from lamofc_codecs import Quality
    from lamofc_store.commits import Segment
    from lamofc_store.ingest import IngestKeywords, Report
    from lamofc_store.loading import FeatureDataset, Target
    from lamofc_store.maintenance import Collection, Compaction, Forgotten, Verification
    from lamofc_store.storage import Cache


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
        """Return one tensor for `store[sample, feature]`, all features by name for `store[sample]`."""
        if not isinstance(key, tuple):
            return self.tensors(key)
        if len(key) != 2:
            raise _no_key(key)
        sample, feature = key
        return self.tensors(sample, [feature])[feature]

    def tensors(
        self, sample: str, features: Sequence[str] | None = None, quality: "Quality | None" = None
    ) -> "dict[str, torch.Tensor]":
        """Return a sample's features by name, in their own shapes and dtypes; at a `quality`, from fewer layers."""
        from lamofc_store.reading import read_sample

        if not all(isinstance(name, str) for name in (sample, *(features or ()))):
            raise _no_key(sample if features is None else (sample, *features))
        return read_sample(self, sample, features, quality)

    def get(self, sample: str, features: Sequence[str] | None = None, quality: "Quality | None" = None) -> Any:
        """Return a sample as its source gave it, nested if it was; some `features` come as a flat mapping.

        Only the layers of a record that the `quality` needs are read: `Quality(snr_db=11)`, `mse=`, `bpfp=`, or
        `kl=` where the profile knows errors in nats.
        """
        from lamofc_store.sample import add_features, restore

        tensors = self.tensors(sample, features, quality)
        text = self._value("SELECT structure FROM samples WHERE sample = ?", [sample]) if features is None else None
        return restore(tensors, add_features(text, tensors))

    def info(self) -> dict[str, Any]:
        """Return sizes, and rate, distortion and bytes of each feature and of whole samples.

        `bpfp`, `ebpfp` and `mse` are ratios of sums; with `mean_` before the name they are means over samples. `totals`
        is None where there is no record.
        """
        features = self._documents("SELECT * FROM features ORDER BY feature")
        return {
            "url": self.url,
            "head": self.head,
            "samples": len(self),
            "records": int(self._value("SELECT count(*) FROM records")),
            "segments": len(self.snapshot.segments),
            "bytes": sum(entry.bytes for entry in self.snapshot.segments.values()),
            "features": features,
            "totals": next(iter(self._documents("SELECT * FROM totals")), None),
        }

    def log(self) -> list[dict[str, Any]]:
        """Return the commits, newest first."""
        return self._documents("SELECT * FROM commits ORDER BY n DESC")

    def _documents(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query, each by the names of its columns."""
        relation = self.sql(query)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    def dataset(  # noqa: PLR0913 - all but three are keywords
        self,
        features: Sequence[str],
        target: "Target | None" = None,
        where: str | None = None,
        *,
        quality: "Quality | None" = None,
        max_bpfp: float | None = None,
        cache: "Cache | None" = None,
        block_cache: int = BLOCK_CACHE_BYTES,
    ) -> "FeatureDataset":
        """Return a map-style torch Dataset of the samples that have all those features, decoded when read.

        With `quality` or `max_bpfp` only the layers of a record that they need are read. A `cache` keeps in a local
        folder what is read from a remote store. Small samples that share records are decoded once for all of a record,
        and kept up to `block_cache` bytes in each process that reads.
        """
        from lamofc_store.loading import FeatureDataset

        return FeatureDataset(
            self,
            features,
            target=target,
            where=where,
            quality=quality,
            max_bpfp=max_bpfp,
            cache=cache,
            block_cache=block_cache,
        )

    @property
    def zarr(self) -> "zarr.Group":
        """Decoded features as read-only Zarr arrays, one chunk a sample."""
        from lamofc_store.zarr_view import group

        return group(self)

    # Writing

    def ingest(
        self,
        source: Any,
        codec: str = DEFAULT_CODEC,
        quality: "Quality | None" = None,
        **options: "Unpack[IngestKeywords]",
    ) -> "Report":
        """Store the samples of a source: a path, an iterable of samples, or a result of `sources.open`.

        Features that are stored already are passed over, so the same call again continues where it stopped.

        Options: `profile`, `fit_samples`, `fit_source`, `codec_options` for the codec; `features`, `patterns`, `grids`,
        `groups`, `block`, `as_published` for what a record holds; `table` for columns of the samples; `on_error`,
        `overwrite`, `device`, `segment_bytes`, `progress`, `found`, `measure`, `draw`, `guide`.
        `lamofc_store.ingest.IngestKeywords` describes each.
        """
        from lamofc_store.ingest import Ingest, prepare

        self.require_writable()
        return Ingest(self, prepare(source, codec, quality, options)).run()

    def write(
        self,
        source: Any,
        codec: str = DEFAULT_CODEC,
        quality: "Quality | None" = None,
        **options: "Unpack[IngestKeywords]",
    ) -> "list[Segment]":
        """Write the segments of an ingest without committing them; the options are those of `ingest`.

        They may be pickled and committed by another process, which must happen within half a day.
        """
        from lamofc_store.ingest import Ingest, prepare

        self.require_writable()
        run = Ingest(self, prepare(source, codec, quality, options), commit=False)
        run.run()
        return run.segments

    def forget(self, samples: Sequence[str]) -> "Forgotten":
        """Remove samples from the state. Their bytes stay in older snapshots until `compact` and `gc`."""
        from lamofc_store.maintenance import forget

        return forget(self, samples)

    def annotate(self, table: "str | Path | pa.Table | Mapping[str, Mapping[str, Any]]") -> int:
        """Add columns, or values, to stored samples; the last value that is not absent wins. Returns the commit."""
        from lamofc_store.maintenance import annotate

        return annotate(self, table)

    def verify(self, *, progress: Callable[[int, int], None] | None = None) -> "Verification":
        """Read everything and compare every checksum; `progress` is called with objects done and in all."""
        from lamofc_store.maintenance import verify

        return verify(self, progress=progress)

    def compact(self, *, live: float = 0.75, small: int = 64 << 20) -> "Compaction":
        """Move live records out of segments whose live share is below `live`, or whose size is under `small` bytes."""
        from lamofc_store.maintenance import compact

        return compact(self, live=live, small=small)

    def gc(self, keep: str = "7d", *, dry_run: bool = False) -> "Collection":
        """Expire snapshots older than `keep` and delete the objects that no remaining snapshot reaches."""
        from lamofc_store.maintenance import collect

        return collect(self, keep, dry_run=dry_run)


def _no_key(key: object) -> BadArgument:
    return BadArgument(
        f"{key!r} is no key of a store: a key is a sample's id, or an id and a feature's name",
        "write store['img_0001'] or store['img_0001', 'layer.39']; list(store) gives the ids",
    )
