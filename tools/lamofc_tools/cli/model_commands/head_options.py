"""Options of heads: the samples to train on, the architecture, and the training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_tools.cli.console import RatedReading, Where, device_of, values

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.heads import Head, TrainingConfig, TrainingSet

RunIn = Annotated[
    str | None, typer.Option("--run-in", metavar="STORE", help="Record it in the catalog of this store, as a run.")
]


@dataclass(frozen=True)
class SampleOptions:
    """Features and target of a head, and the samples to train and to test on."""

    feature: Annotated[
        list[str] | None,
        typer.Option("--feature", metavar="NAME", help="Feature that the head reads; repeatable, in this order."),
    ] = None
    target: Annotated[
        str, typer.Option("--target", metavar="NAME", help="What the head predicts: a column, or a feature: a map.")
    ] = "label"
    where: Where = None
    test: Annotated[
        str | None,
        typer.Option("--test", metavar="SQL", help="Test samples: those for which this holds. None without it."),
    ] = None

    def samples(
        self, store: "Store", reading: RatedReading, where: str | None, names: tuple[str, ...] = ()
    ) -> "TrainingSet":
        """Select samples of a store, at the quality that is asked for."""
        from lamofc_tools.heads import TrainingSet

        inputs = self.feature or [name for name in store.features if name != self.target]
        return TrainingSet.of(store, inputs, self.target, where=where, quality=reading.quality, names=names)


@dataclass(frozen=True)
class HeadOptions:
    """Task and architecture of a head."""

    task: Annotated[
        str | None, typer.Option("--task", help="classes, segments or depth. Default: what the head is usually for.")
    ] = None
    classes: Annotated[
        int | None, typer.Option("--classes", metavar="N", help="Number of classes, for a target that is a map.")
    ] = None
    pool: Annotated[str, typer.Option("--pool", help="Pooling of linear and knn: cls, mean or cls+mean.")] = "mean"
    grid: Annotated[
        str | None,
        typer.Option("--grid", metavar="P+HxW", help="P tokens, then H rows of W patches. Default: a square."),
    ] = None
    neighbours: Annotated[int, typer.Option("--neighbours", metavar="K", help="Neighbours that vote in knn.")] = 20
    inner: Annotated[int, typer.Option("--inner", metavar="N", help="Channels within dpt.")] = 64
    head_option: Annotated[
        list[str] | None,
        typer.Option(
            "--head-option", metavar="NAME=VALUE", help="Any option of the head, such as heads=8. Repeatable."
        ),
    ] = None

    def head(self, kind: str, samples: "TrainingSet") -> "Head":
        """Make an untrained head."""
        from lamofc_tools.heads import new_head

        return new_head(kind, samples, task=self.task, classes=self.classes, options=self._options(kind))

    def _options(self, kind: str) -> dict[str, Any]:
        """Return the options that the architecture declares, with the values that were typed."""
        from lamofc_store.sample import Grid
        from lamofc_tools.heads import option_defaults

        grid = None if self.grid is None else Grid.from_text(self.grid)
        typed = {
            "pool": self.pool,
            "prefix": grid.prefix if grid is not None else int(self.pool == "cls+mean"),
            "grid": None if grid is None else [grid.height, grid.width],
            "neighbours": self.neighbours,
            "inner": self.inner,
        }
        declared = option_defaults(kind)
        return {name: typed[name] for name in typed if name in declared} | values(
            self.head_option, "--head-option", "heads=8"
        )


@dataclass(frozen=True)
class TrainingOptions:
    """Schedule and optimiser of a training."""

    epochs: Annotated[int, typer.Option("--epochs", metavar="N", help="Passes; linear and knn need one.")] = 10
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Samples per step.")] = 64
    lr: Annotated[float, typer.Option("--lr", help="Initial learning rate.")] = 1e-3
    decay: Annotated[
        list[float] | None,
        typer.Option("--decay", help="Weight decay; of several, linear chooses the best. Repeatable."),
    ] = None
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Train linear by SGD at 13 learning rates side by side, not by L-BFGS.")
    ] = False
    seed: Annotated[int, typer.Option("--seed", help="Seed of the first weights and of the order of samples.")] = 0
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.")] = "auto"
    half: Annotated[bool, typer.Option("--half", help="Run forward passes in bfloat16.")] = False
    ragged: Annotated[str, typer.Option("--ragged", help="pad, for features of different lengths.")] = "stack"
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Processes that fetch records; 0: a thread.")
    ] = 0
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FILE", help="Written after every epoch; resumed from if it is there."),
    ] = None

    def config(self) -> "TrainingConfig":
        """Return the configuration that the library takes."""
        from lamofc_tools.heads import DECAYS, TrainingConfig

        return TrainingConfig(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            decay=self.decay[0] if self.decay else TrainingConfig.decay,
            decays=tuple(self.decay or DECAYS),
            sweep=self.sweep,
            seed=self.seed,
            device=device_of(self.device),
            half=self.half,
            workers=self.workers,
            ragged=self.ragged,
            checkpoint=Path(self.checkpoint) if self.checkpoint else None,
        )


@dataclass(frozen=True)
class TrainOptions(SampleOptions, HeadOptions, TrainingOptions):
    """All options of `lamofc train`."""

    run_in: RunIn = None
