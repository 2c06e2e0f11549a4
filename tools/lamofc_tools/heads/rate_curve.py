"""What each bit buys: a head judged on stores of several rates, or trained anew on each of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from lamofc_store import Quality, Store
from lamofc_tools.heads.contract import Head, TrainingConfig, TrainingSet
from lamofc_tools.heads.registry import KINDS
from lamofc_tools.heads.trainer import evaluate, train

Protocol = Literal["original", "decoded"]
"""What the head was trained on: the features that it came with, or those that it is judged on."""


@dataclass(frozen=True)
class Point:
    """One store at one rate on read."""

    store: str
    rate: str
    """What was asked for on reading: `whole`, `snr_db=10`."""
    bpfp: float
    """Bits of an element that were read."""
    trained_on: Protocol
    samples: int
    values: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As --json prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Judging:
    """A head with what its file tells of it, and the samples that it is judged on."""

    head: Head
    told: dict[str, Any]
    where: str | None
    course: TrainingConfig

    def lesson(self, store: Store, quality: Quality | None, where: str | None) -> TrainingSet:
        """Its inputs and target in a store."""
        return TrainingSet.of(
            store, self.told["inputs"], self.told["target"], where=where, quality=quality, names=self.told["names"]
        )

    def point(self, store: Store, name: str, quality: Quality | None, lesson: TrainingSet, protocol: Protocol) -> Point:
        """Judge on a lesson, after training on the store itself where that is asked for."""
        head = self.head
        if protocol == "decoded":
            torch.manual_seed(self.course.seed)
            options = {key: value for key, value in head.options.items() if key != "rows"}
            head = KINDS[head.kind](head.widths, head.task, **options)
            train(head, self.lesson(store, quality, self.told["where"]), self.course)
        rate = "whole" if quality is None else f"{quality.kind}={quality.value:g}"
        return Point(name, rate, lesson.rate, protocol, len(lesson), evaluate(head, lesson, self.course))


def curve(
    judging: Judging,
    stores: Mapping[str, Store],
    qualities: Sequence[Quality],
    protocols: Sequence[Protocol],
    tell: Callable[[int, int], None],
) -> list[Point]:
    """Every store whole and at every rate on read that reads less of it, by each protocol."""
    found: list[Point] = []
    wanted = [(name, *one) for name, store in stores.items() for one in _unlike(judging, store, qualities)]
    for name, quality, lesson in wanted:
        for protocol in protocols:
            found.append(judging.point(stores[name], name, quality, lesson, protocol))
            tell(len(found), len(wanted) * len(protocols))
    return found


def _unlike(judging: Judging, store: Store, qualities: Sequence[Quality]) -> list[tuple[Quality | None, TrainingSet]]:
    """Qualities for which different numbers of bits are read, and the lessons; None, for all bits, comes first."""
    found: dict[float, tuple[Quality | None, TrainingSet]] = {}
    for quality in (None, *qualities):
        lesson = judging.lesson(store, quality, judging.where)
        found.setdefault(lesson.rate, (quality, lesson))
    return list(found.values())


def cheapest(points: Sequence[Point], head: Head, tolerance: float) -> Iterator[dict[str, Any]]:
    """By each protocol: the least rate at which the main metric is as good as that of the first point, or nearly.

    `tolerance` is a difference where more is better, and a share of the error where less is.
    """
    meter = head.task.meter()
    for protocol in dict.fromkeys(point.trained_on for point in points):
        some = [point for point in points if point.trained_on == protocol and meter.main in point.values]
        best = some[0].values[meter.main] if some else 0.0
        allowed = best - tolerance if meter.more_is_better else -best * (1 + tolerance)
        sign = 1 if meter.more_is_better else -1
        fit = [point for point in some if sign * point.values[meter.main] >= allowed]
        chosen = min(fit, key=lambda point: point.bpfp, default=None)
        if chosen is not None:
            yield {"metric": meter.main, "of_first": best, **chosen.to_json()}
