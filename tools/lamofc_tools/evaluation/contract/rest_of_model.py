"""The rest of a model behind a split, as an evaluation sees it. Each kind of model is a class of these methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from lamofc_tools.evaluation.contract.figures import FigureSet
from lamofc_tools.models import Features


class Tally(Protocol):
    """Figures of one store at one rate, which are summed batch by batch."""

    def add(self, names: Sequence[str], samples: Sequence[Features]) -> None:
        """Run the rest of the model on the decoded features of a batch, and compare its answers."""

    def values(self) -> dict[str, float]:
        """Return the figures of all batches by name."""


class RestOfModel(Protocol):
    """The rest of a model, and the inputs that it is evaluated on."""

    @property
    def name(self) -> str:
        """Name of the rest of the model, such as `MODEL@BLOCK`."""

    @property
    def figure_set(self) -> FigureSet:
        """The figures of this kind of model."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """How the model runs on its inputs, as a document of the evaluation shows it."""

    @property
    def samples(self) -> Sequence[str]:
        """Ids of the samples that are evaluated."""

    @property
    def shapes(self) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
        """The shape of each feature that is put back, by sample and feature."""

    def config(self) -> dict[str, Any]:
        """Return all that the figures depend on beside the decoded features."""

    def prepare(self, progress: Callable[[int], None]) -> None:
        """Run the unbroken model, once for all tallies; `progress` receives the number of samples of each batch."""

    def batches(self) -> Iterator[list[str]]:
        """Yield the ids of samples that go through the model together."""

    def tally(self) -> Tally:
        """Return an empty tally; `prepare` comes first."""
