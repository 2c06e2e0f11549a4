"""Evaluate the rest of a model on stores, read whole and at several rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lamofc_store import FeatureDataset, Quality, Store
from lamofc_tools.evaluation.contract import RestOfModel
from lamofc_tools.evaluation.points import ModelPoint
from lamofc_tools.evaluation.run_log import find_values, log_point
from lamofc_tools.evaluation.stored_features import StoredFeatures
from lamofc_tools.read_rates import distinct_reads, rate_name


@dataclass(frozen=True)
class _Read:
    """One store at one rate."""

    name: str
    rate: str
    stored: StoredFeatures
    dataset: FeatureDataset
    config: Mapping[str, Any]
    """Everything that the figures depend on."""

    def point(self, values: Mapping[str, float]) -> ModelPoint:
        """Return the point with these figures."""
        stored = self.stored
        return ModelPoint(
            store=self.name,
            rate=self.rate,
            bpfp=self.dataset.bpfp(),
            profile_bpfp=stored.profile_bpfp,
            samples=len(self.dataset),
            values=dict(values),
            **stored.larger_records,
        )


def evaluate_model_at_rates(
    rest: RestOfModel,
    stores: Mapping[str, Store],
    qualities: Sequence[Quality],
    progress: Callable[[int, int], None],
    log: Store | None = None,
) -> list[ModelPoint]:
    """Evaluate on every store, read whole and at each quality that reads fewer bits.

    With `log` each point is committed there as a run when it is done, and points that it has are not computed again.
    `progress` receives the number of samples that the model has answered to, and how many there are.
    """
    reads = [read for name, store in stores.items() for read in _reads(rest, name, store, qualities)]
    known = {number: found for number, read in enumerate(reads) if (found := find_values(log, read.config))}
    done, total = 0, len(rest.samples) * (len(reads) - len(known) + 1)

    def advance(samples: int) -> None:
        nonlocal done
        done += samples
        progress(done, total)

    if len(known) < len(reads):
        rest.prepare(advance)
    points = []
    for number, read in enumerate(reads):
        points.append(read.point(known[number] if number in known else _measure(rest, read.dataset, advance)))
        if log is not None and number not in known:
            log_point(log, rest.name, read.config, points[-1])
    return points


def _reads(rest: RestOfModel, name: str, store: Store, qualities: Sequence[Quality]) -> list[_Read]:
    stored = StoredFeatures(store, rest)
    common = {**rest.config(), "store": store.url, "commit": stored.commit}
    return [
        _Read(name, rate_name(quality), stored, dataset, {**common, "rate": rate_name(quality)})
        for quality, dataset in distinct_reads(stored.read, FeatureDataset.bpfp, qualities)
    ]


def _measure(rest: RestOfModel, dataset: FeatureDataset, advance: Callable[[int], None]) -> dict[str, float]:
    """Run the rest of the model on all samples of a store at one rate."""
    tally = rest.tally()
    for names in rest.batches():
        tally.add(names, [_features(example) for example in dataset.__getitems__(dataset.locate(names))])
        advance(len(names))
    return tally.values()


def _features(example: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in example.items() if name != "sample"}
