"""Task performance against rate: a head evaluated on stores read at several rates, as it is or trained anew on each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch

from lamofc_store import Quality, Store
from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.curve_points import CurvePoint, count_larger_records
from lamofc_tools.heads.contract import Head, TrainingConfig, TrainingSet
from lamofc_tools.heads.trainer import evaluate, train
from lamofc_tools.read_rates import distinct_reads, rate_name

Protocol = Literal["original", "decoded"]
"""Features that a head was trained on: those of its file, or those of the store that it is evaluated on."""


@dataclass(frozen=True)
class RatePoint(CurvePoint):
    """Metrics of a head on one store, read at one rate."""

    store: str
    rate: str
    """Quality on read: `whole`, or for example `snr_db=10`."""
    bpfp: float
    """Bits per element that were read."""
    trained_on: Protocol
    samples: int
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class HeadEvaluation:
    """A head with the record of its training and the choice of samples to evaluate on."""

    head: Head
    provenance: dict[str, Any]
    """Record of the training from the head's file: `inputs`, `target`, `names`, `where` and more."""
    where: str | None
    config: TrainingConfig

    def samples(self, store: Store, quality: Quality | None, where: str | None) -> TrainingSet:
        """Select samples of a store with the head's inputs and target."""
        record = self.provenance
        return TrainingSet.of(
            store, record["inputs"], record["target"], where=where, quality=quality, names=record["names"]
        )

    def at(
        self, store: Store, name: str, quality: Quality | None, samples: TrainingSet, protocol: Protocol
    ) -> RatePoint:
        """Evaluate on samples read at a quality; for `decoded`, first train a new head on the store at that quality."""
        head = self.head
        if protocol == "decoded":
            torch.manual_seed(self.config.seed)
            head = type(head)(head.widths, head.task, **head.options)
            train(head, self.samples(store, quality, self.provenance["where"]), self.config)
        return RatePoint(
            store=name,
            rate=rate_name(quality),
            bpfp=samples.bpfp,
            trained_on=protocol,
            samples=len(samples),
            values=evaluate(head, samples, self.config),
            **count_larger_records(store, samples.dataset.samples, samples.inputs),
        )


def evaluate_at_rates(
    evaluation: HeadEvaluation,
    stores: Mapping[str, Store],
    qualities: Sequence[Quality],
    protocols: Sequence[Protocol],
    progress: Callable[[int, int], None],
) -> list[RatePoint]:
    """Evaluate on every store, read whole and at each quality that reads fewer bits, by each protocol."""
    if "decoded" in protocols and not evaluation.head.trainable:
        raise BadArgument(
            f"a {evaluation.head.kind} head cannot be trained again", Hint("give [trained_on] original, the default")
        )
    points: list[RatePoint] = []
    reads = [
        (name, quality, samples)
        for name, store in stores.items()
        for quality, samples in distinct_reads(
            partial(evaluation.samples, store, where=evaluation.where), lambda samples: samples.bpfp, qualities
        )
    ]
    for name, quality, samples in reads:
        for protocol in protocols:
            points.append(evaluation.at(stores[name], name, quality, samples, protocol))
            progress(len(points), len(reads) * len(protocols))
    return points


def cheapest_points(points: Sequence[RatePoint], head: Head, tolerance: float) -> Iterator[dict[str, Any]]:
    """Yield for each protocol the point of lowest rate whose main metric is within `tolerance` of the first point's.

    `tolerance` is a difference for metrics where more is better, and a share of the error for others.
    """
    meter = head.task.meter()
    for protocol in dict.fromkeys(point.trained_on for point in points):
        comparable = [point for point in points if point.trained_on == protocol and meter.main in point.values]
        first = comparable[0].values[meter.main] if comparable else 0.0
        sign = 1 if meter.more_is_better else -1
        bound = first - tolerance if meter.more_is_better else -first * (1 + tolerance)
        sufficient = [point for point in comparable if sign * point.values[meter.main] >= bound]
        cheapest = min(sufficient, key=lambda point: point.bpfp, default=None)
        if cheapest is not None:
            yield {"metric": meter.main, "of_first": first, **cheapest.to_json()}
