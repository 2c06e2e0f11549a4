"""Settings of the papers' codecs as they are printed: options of fits, lambdas, quantisation parameters, crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lamofc_codecs.errors import UnsupportedInput

Sides = tuple[int, int]
_ONE_PLANE: Mapping[str, Any] = {"tile": 0, "fill": "zero"}
"""A plane as a whole, filled up with zeros."""
_ONE_PLANE_OF_LEVELS: Mapping[str, Any] = {**_ONE_PLANE, "assign": "floor"}
_SCALING = ("levels", "mapping", "bits", "range")
"""Options in place of which a truncation is left out."""


@dataclass(frozen=True)
class PublishedTraining:
    """The training of a learned codec on the features of one task, or of all."""

    lambdas: tuple[float, ...]
    crop: Sides = (256, 256)
    """Rows and columns that the networks are trained on."""
    batch: int = 128
    restack: Mapping[str, Sides] = field(default_factory=dict)
    """By feature, rows and columns to cut instead, whose column blocks are then stacked to the crop."""


@dataclass(frozen=True)
class PublishedSettings:
    """The settings of one paper."""

    name: str
    options: Mapping[str, Mapping[str, Any]]
    """Options of the fit, by codec."""
    training: Mapping[str, Mapping[str, PublishedTraining]]
    """The training of each architecture by task; that of the task `*` takes the features of all."""
    qps: tuple[int, ...] = ()
    """Quantisation parameters of its video codec."""

    def options_of(self, codec: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a codec, those that are given before the printed ones."""
        if codec not in self.options:
            raise UnsupportedInput(
                f"{self.name} prints nothing of codec {codec!r}", f"give one of {', '.join(self.options)}"
            )
        printed = dict(self.options[codec])
        if any(given.get(name) is not None for name in _SCALING):
            printed.pop("truncation", None)
        return {**printed, **given}

    def training_of(self, arch: str, task: str) -> PublishedTraining:
        """Return the training on the features of one task, or of several together, `*`."""
        tasks = self.training.get(arch, {})
        found = tasks.get(task, tasks.get("*"))
        if found is None:
            printed = ", ".join(f"{other} on {' or '.join(self.training[other])}" for other in self.training)
            raise UnsupportedInput(f"{self.name} prints no training of {arch!r} on {task!r}", f"it prints {printed}")
        return found


_RESTACKED = {"csr": (64, 1024)}
_LAMOFCBENCH_LAMBDAS = (0.001, 0.004, 0.007, 0.01, 0.02)
_HYBRID_HYPERPRIOR = (
    0.0008, 0.001, 0.0013, 0.0018, 0.0019, 0.0021, 0.0023, 0.0025,
    0.0028, 0.003, 0.004, 0.005, 0.006, 0.007, 0.01, 0.02,
)  # fmt: skip
_HYBRID_ELIC = (
    0.0001, 0.0003, 0.0005, 0.001, 0.0015, 0.0019, 0.0021, 0.0025,
    0.003, 0.004, 0.005, 0.007, 0.008, 0.01, 0.015, 0.02,
)  # fmt: skip

PUBLISHED: dict[str, PublishedSettings] = {
    "lamofcbench": PublishedSettings(
        "lamofcbench",
        {"hyperprior": _ONE_PLANE_OF_LEVELS, "elic": _ONE_PLANE_OF_LEVELS},
        {
            "hyperprior": {"*": PublishedTraining(_LAMOFCBENCH_LAMBDAS, batch=180, restack=_RESTACKED)},
            "elic": {"*": PublishedTraining(_LAMOFCBENCH_LAMBDAS, batch=60, restack=_RESTACKED)},
        },
    ),
    "dt-ufc": PublishedSettings(
        "dt-ufc",
        {"hyperprior": _ONE_PLANE_OF_LEVELS, "elic": _ONE_PLANE_OF_LEVELS},
        {
            "hyperprior": {
                "csr": PublishedTraining(
                    (0.0005, 0.0008, 0.0017, 0.0019, 0.002, 0.0025, 0.003, 0.0035, 0.006), (64, 1024)
                ),
                "seg": PublishedTraining((0.0007, 0.0008, 0.002, 0.0025, 0.003, 0.004, 0.005, 0.006, 0.01, 0.015)),
                "tti": PublishedTraining(
                    (0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.05), (512, 512), batch=32
                ),
                "*": PublishedTraining(_HYBRID_HYPERPRIOR, batch=180, restack=_RESTACKED),
            },
            "elic": {"*": PublishedTraining(_HYBRID_ELIC, batch=60, restack=_RESTACKED)},
        },
    ),
    "lamofc": PublishedSettings(
        "lamofc",
        {
            "hyperprior": {**_ONE_PLANE, "truncation": "hyperprior"},
            "vvc": {"truncation": "vtm", "rounding": "floor"},
        },
        {
            "hyperprior": {
                "cls": PublishedTraining((0.001, 0.0017, 0.003, 0.0035, 0.01)),
                "seg": PublishedTraining((0.0005, 0.001, 0.003, 0.007, 0.015)),
                "dpt": PublishedTraining((0.001, 0.005, 0.02, 0.05, 0.12)),
                "csr": PublishedTraining((0.01405, 0.0142, 0.015, 0.07, 10.0), (64, 4096), batch=40),
                "tti": PublishedTraining((0.005, 0.01, 0.02, 0.05, 0.2), (512, 512), batch=32),
            }
        },
        (22, 27, 32, 37, 42),
    ),
}
"""By paper. LaMoFC prints both 0.07 and 0.15 for `csr`; batches are those of the published scripts."""


def published_settings(name: str) -> PublishedSettings:
    """Return the settings of a paper by its name."""
    if name not in PUBLISHED:
        raise UnsupportedInput(f"as_published={name!r}", f"give one of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
