"""The decoded features of some samples of a store, and the check that they are those of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lamofc_store import FeatureDataset, Quality, Store
from lamofc_store.errors import BadArgument, NotFound
from lamofc_tools.comparison import spread_profile
from lamofc_tools.curve_points import count_larger_records
from lamofc_tools.evaluation.contract import RestOfModel


@dataclass(frozen=True)
class StoredFeatures:
    """The features of the samples of an evaluation in one store."""

    store: Store
    rest: RestOfModel
    features: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        shapes = self.rest.shapes
        object.__setattr__(self, "features", tuple(next(iter(shapes.values()))))
        stored = stored_shapes(self.store, self.rest.samples, self.features)
        for sample, expected in shapes.items():
            for feature, shape in expected.items():
                self._require(sample, feature, stored[sample].get(feature), shape)

    def read(self, quality: Quality | None) -> FeatureDataset:
        """Return the features, read whole or at a quality."""
        names = ", ".join(f"'{name.replace(chr(39), chr(39) * 2)}'" for name in self.rest.samples)
        return self.store.dataset(self.features, where=f"sample IN ({names})", quality=quality)

    @cached_property
    def profile_bpfp(self) -> float:
        """Bits of the profiles in use per element, spread over 10 000 samples."""
        query = (
            "WITH used AS (SELECT profile, elements, sample FROM records WHERE feature IN (SELECT unnest(?))"
            " AND sample IN (SELECT unnest(?))) SELECT (SELECT coalesce(sum(bytes), 0) FROM profiles"
            " WHERE profile IN (SELECT profile FROM used)), sum(elements) / count(DISTINCT sample) FROM used"
        )
        ((size, elements),) = self.store.sql(query, [list(self.features), list(self.rest.samples)]).fetchall()
        return spread_profile(float(size), elements)

    @cached_property
    def larger_records(self) -> dict[str, int]:
        """Counts of samples whose records are lossless in place of the codec's, or larger than their source."""
        return count_larger_records(self.store, self.rest.samples, self.features)

    @cached_property
    def commit(self) -> int:
        """The newest commit that changed more than the record of runs."""
        return max((int(commit["n"]) for commit in self.store.log() if commit["verb"] != "run"), default=0)

    def _require(self, sample: str, feature: str, found: tuple[int, ...] | None, expected: tuple[int, ...]) -> None:
        """Raise an error unless a sample has a feature of the expected shape."""
        if found is None:
            raise NotFound(
                f"sample {sample!r} of {self.store.url} has no {feature!r}",
                "extract all features, caches of texts as well",
            )
        if found != expected:
            raise BadArgument(
                f"{feature!r} of {sample!r} in {self.store.url} is {_sized(found)}, and {self.rest.name} has"
                f" {_sized(expected)} there",
                "give the model and the inputs that the features were extracted from, texts no longer than its windows",
            )


def stored_shapes(
    store: Store, samples: Sequence[str], features: Sequence[str]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return the shapes of some features of some samples; NotFound if the store lacks a sample."""
    query = (
        "SELECT sample, feature, shape FROM records WHERE feature IN (SELECT unnest(?))"
        " AND sample IN (SELECT unnest(?))"
    )
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for sample, feature, shape in store.sql(query, [list(features), list(samples)]).fetchall():
        shapes.setdefault(sample, {})[feature] = tuple(shape)
    missing = next((sample for sample in samples if sample not in shapes), None)
    if missing is not None:
        raise NotFound(
            f"{store.url} has no sample {missing!r} with {features[0]!r}, and {len(shapes)} of {len(samples)} samples",
            "extract it into the store, or leave it out of the inputs",
        )
    return shapes


def _sized(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
