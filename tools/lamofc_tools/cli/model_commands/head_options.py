"""Options of heads: what they learn from, what they are, and how they are trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import RatedReading, Where, device_of

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.heads import Head, TrainingConfig, TrainingSet

RunIn = Annotated[str | None, typer.Option("--run-in", metavar="STORE", help="Tell of it in this store, as a run.")]


@dataclass(frozen=True)
class Taught:
    """What a head learns from."""

    feature: Annotated[
        list[str] | None, typer.Option("--feature", metavar="NAME", help="What it sees; repeatable, in this order.")
    ] = None
    target: Annotated[
        str, typer.Option("--target", metavar="NAME", help="What it tells: a column, or a feature that is a map.")
    ] = "label"
    where: Where = None
    test: Annotated[
        str | None, typer.Option("--test", metavar="SQL", help="Judge it on the samples for which this holds.")
    ] = None

    def lesson(self, store: "Store", reading: RatedReading, where: str | None, names: Any = ()) -> "TrainingSet":
        """Of a store, at the rate asked for."""
        from lamofc_tools.heads import TrainingSet

        inputs = self.feature or [name for name in store.features if name != self.target]
        return TrainingSet.of(store, inputs, self.target, where=where, quality=reading.quality, names=names)


@dataclass(frozen=True)
class Built:
    """What a head is."""

    task: Annotated[
        str | None, typer.Option("--task", help="classes, segments or depth; what the head is usually for.")
    ] = None
    classes: Annotated[int | None, typer.Option("--classes", metavar="N", help="Of maps of labels.")] = None
    pool: Annotated[str, typer.Option("--pool", help="cls, mean, cls+mean: of linear and knn.")] = "mean"
    grid: Annotated[
        str | None,
        typer.Option("--grid", metavar="P+HxW", help="P tokens, then patches in H rows of W; a square if not told."),
    ] = None
    neighbours: Annotated[int, typer.Option("--neighbours", metavar="K", help="Of knn.")] = 20
    inner: Annotated[int, typer.Option("--inner", metavar="N", help="Channels within a dpt.")] = 64

    def head(self, kind: str, lesson: "TrainingSet") -> "Head":
        """A new head for a lesson."""
        from lamofc_tools.heads import KINDS, Task

        if kind not in KINDS:
            raise BadArgument(f"{kind!r} is no head", f"one of {', '.join(KINDS)}")
        task = self.task or KINDS[kind].tasks[0]
        if task not in KINDS[kind].tasks:
            raise BadArgument(f"--task {task} of a {kind} head", f"--task {KINDS[kind].tasks[0]}")
        classes = 1 if task == "depth" else self.classes or lesson.classes()
        return KINDS[kind](lesson.widths(), Task(task, classes), **self._options(kind))  # type: ignore[arg-type]

    def _options(self, kind: str) -> dict[str, Any]:
        from lamofc_store.sample import Grid

        grid = None if self.grid is None else Grid.from_text(self.grid)
        prefix = grid.prefix if grid is not None else int(self.pool == "cls+mean")
        if kind in ("linear", "knn"):
            found: dict[str, Any] = {"pool": self.pool, "prefix": prefix}
            return found | ({"neighbours": self.neighbours} if kind == "knn" else {})
        if kind == "attentive":
            return {}
        shape = None if grid is None else [grid.height, grid.width]
        return {"prefix": prefix, "grid": shape} | ({"inner": self.inner} if kind == "dpt" else {})


@dataclass(frozen=True)
class Coursed:
    """How a head is trained."""

    epochs: Annotated[int, typer.Option("--epochs", metavar="N", help="Passes; linear and knn need one.")] = 10
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Samples of a step.")] = 64
    lr: Annotated[float, typer.Option("--lr", help="Rate of learning at the beginning.")] = 1e-3
    decay: Annotated[
        list[float] | None, typer.Option("--decay", help="Of weights; a linear head chooses, of several. Repeatable.")
    ] = None
    sweep: Annotated[
        bool, typer.Option("--sweep", help="A linear head by SGD at 13 rates side by side, not by L-BFGS.")
    ] = False
    seed: Annotated[int, typer.Option("--seed", help="For first weights and the order of samples.")] = 0
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.")] = "auto"
    half: Annotated[bool, typer.Option("--half", help="Forward passes in bfloat16.")] = False
    ragged: Annotated[str, typer.Option("--ragged", help="Of different lengths: pad.")] = "stack"
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Processes that fetch; 0: a thread.")] = 0
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FILE", help="Kept after every epoch; gone on from if it is there."),
    ] = None

    def course(self) -> "TrainingConfig":
        """As training takes it."""
        from lamofc_tools.heads import TrainingConfig
        from lamofc_tools.heads.contract import DECAYS

        return TrainingConfig(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            decay=self.decay[0] if self.decay else 0.01,
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
class Learning(Taught, Built, Coursed):
    """All of it, and where it is told."""

    run_in: RunIn = None
