"""Options of heads: training data, architecture, training."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import (
    Device,
    RatedReadOptions,
    RunStore,
    Where,
    parse_json_pairs,
    parse_range,
    resolve_device,
)

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.heads import Head, TrainingConfig, TrainingSet


@dataclass(frozen=True)
class HeadDataOptions:
    """The inputs and the target of a head, and the samples to train and test on."""

    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature",
            metavar="NAME",
            help="Take this feature as an input; all by default. Repeatable, in this order.",
        ),
    ] = None
    target: Annotated[
        str,
        typer.Option("--target", metavar="NAME", help="Predict this column, or this feature if it is a map."),
    ] = "label"
    where: Where = None
    test: Annotated[
        str | None,
        typer.Option("--test", metavar="SQL", help="Evaluate the head on samples for which this SQL condition holds."),
    ] = None

    def training_set(
        self, store: "Store", read_options: RatedReadOptions, where: str | None, names: tuple[str, ...] = ()
    ) -> "TrainingSet":
        """Return the samples of a store, at the rate that is asked for."""
        from lamofc_tools.heads import TrainingSet

        inputs = self.feature or [name for name in store.features if name != self.target]
        return TrainingSet.of(store, inputs, self.target, where=where, quality=read_options.quality, names=names)


@dataclass(frozen=True)
class HeadOptions:
    """The architecture of a head."""

    task: Annotated[
        str | None,
        typer.Option("--task", help="Train for classes, segments or depth; by default the first that HEAD supports."),
    ] = None
    classes: Annotated[
        int | None, typer.Option("--classes", metavar="N", help="Give the number of classes in maps of labels.")
    ] = None
    pool: Annotated[str, typer.Option("--pool", help="Pool the tokens for linear and knn: cls, mean or cls+mean.")] = (
        "mean"
    )
    grid: Annotated[
        str | None,
        typer.Option(
            "--grid", metavar="P+HxW", help="Lay out tokens as P tokens, then H rows of W patches; a square by default."
        ),
    ] = None
    neighbours: Annotated[
        int, typer.Option("--neighbours", metavar="K", help="Let the K nearest samples vote in knn.")
    ] = 20
    inner: Annotated[
        int, typer.Option("--inner", metavar="N", help="Give the layers of dpt and mask2former so many channels.")
    ] = 64
    head_option: Annotated[
        list[str] | None,
        typer.Option(
            "--head-option", metavar="NAME=VALUE", help="Set any option of the head, such as heads=8. Repeatable."
        ),
    ] = None

    def head(self, kind: str, training_set: "TrainingSet") -> "Head":
        """Create a new head for a training set."""
        from lamofc_tools.heads import new_head

        return new_head(kind, training_set, task=self.task, classes=self.classes, options=self._options(kind))

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
        options = {name: typed[name] for name in typed if name in declared}
        return options | parse_json_pairs(self.head_option, "--head-option", "heads=8")


@dataclass(frozen=True)
class TrainingOptions:
    """The schedule and the settings of a head's training."""

    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", help="Take so many passes; linear and knn need one.")
    ] = 10
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Train on so many samples a step.")] = 64
    lr: Annotated[float, typer.Option("--lr", help="Start at this learning rate.")] = 1e-3
    decay: Annotated[
        list[float] | None,
        typer.Option("--decay", help="Decay weights by this; a linear head chooses among several. Repeatable."),
    ] = None
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="Train a linear head by SGD at 13 learning rates at once instead of by L-BFGS."),
    ] = False
    seed: Annotated[int, typer.Option("--seed", help="Seed initial weights and the order of samples.")] = 0
    device: Device = "auto"
    half: Annotated[bool, typer.Option("--half", help="Run forward passes in bfloat16.")] = False
    ragged: Annotated[
        str, typer.Option("--ragged", help="Combine samples of different lengths: stack refuses them, pad fills up.")
    ] = "stack"
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Fetch records in so many processes; 0 uses a thread.")
    ] = 0
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Save a checkpoint after every pass, and continue from it if it exists.",
        ),
    ] = None

    def config(self) -> "TrainingConfig":
        """Return the configuration of the training."""
        from lamofc_tools.heads import DECAYS, TrainingConfig

        return TrainingConfig(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            decay=self.decay[0] if self.decay else TrainingConfig.decay,
            decays=tuple(self.decay or DECAYS),
            sweep=self.sweep,
            seed=self.seed,
            device=resolve_device(self.device),
            half=self.half,
            workers=self.workers,
            ragged=self.ragged,
            checkpoint=Path(self.checkpoint) if self.checkpoint else None,
        )


@dataclass(frozen=True)
class TrainOptions(HeadDataOptions, HeadOptions, TrainingOptions):
    """All options of a head, and the store that records its training."""

    run_in: RunStore = None


@dataclass(frozen=True)
class PublishedHeadOptions:
    """Everything about a head that others trained that its folder or file does not say."""

    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature", metavar="NAME", help="Give a published head this feature. Repeatable, in this order."
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="NAME", help="Compare a published head with this; label by default."),
    ] = None
    grid: Annotated[
        str | None,
        typer.Option(
            "--grid", metavar="P+HxW", help="Lay out tokens for a published head; the store's own by default."
        ),
    ] = None
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", metavar="MODEL", help="Take the final norm before a published head from this folder or file."
        ),
    ] = None
    bins: Annotated[
        str | None,
        typer.Option("--bins", metavar="LEAST:MOST", help="Space the depth bins of a published head in this range."),
    ] = None
    depths: Annotated[
        str | None,
        typer.Option("--depths", metavar="LEAST:MOST", help="Count depths in this range, for a published head."),
    ] = None
    eigen_crop: Annotated[
        bool, typer.Option("--eigen-crop", help="Count depths in the crop of NYUv2 only, for a published head.")
    ] = False

    def open_head(self, path: str, store: "Store") -> "tuple[Head, dict[str, Any]]":
        """Open a head of `lamofc train` or a published one, with the record of its training."""
        from lamofc_store.sample import Grid
        from lamofc_tools.heads import PublishedSource, is_trained_head, load

        if Path(path).exists() and is_trained_head(Path(path)):
            self._require_none(path)
        if not Path(path).exists() or is_trained_head(Path(path)):
            return load(Path(path))  # NotFound where there is none
        source = PublishedSource(
            path=Path(path),
            target=self.target or "label",
            features=tuple(self.feature or ()),
            grid=None if self.grid is None else Grid.from_text(self.grid),
            backbone=self.backbone,
            bins=parse_range(self.bins, "--bins"),
            depths=parse_range(self.depths, "--depths"),
            eigen_crop=self.eigen_crop,
        )
        return source.open(store)

    def _require_none(self, path: str) -> None:
        typed = next((name for name in PUBLISHED if getattr(self, name)), None)
        if typed is not None:
            raise BadArgument(f"--{typed.replace('_', '-')} for {path}", "a head of `lamofc train` says it itself")


PUBLISHED = tuple(field.name for field in fields(PublishedHeadOptions))
"""Options that only a published head takes."""
