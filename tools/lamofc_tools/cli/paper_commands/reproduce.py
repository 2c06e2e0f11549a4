"""`lamofc reproduce`: the papers' tables on one's own features."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import DryRun, Output, flatten_options
from lamofc_tools.cli.paper_commands import reproduction_text

if TYPE_CHECKING:
    from lamofc_tools.reproduction import Inputs, Plan, Reproduction

Name = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="A table or figure, such as lamofcbench-8; without it, all are listed."),
]


@dataclass(frozen=True)
class InputOptions:
    """The folders of inputs and of results."""

    features: Annotated[
        str, typer.Option("--features", metavar="DIR", help="Look for features in this folder. Default: features.")
    ] = "features"
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="DIR",
            help="Look for network weights and mapping.json in this folder. Default: weights.",
        ),
    ] = "weights"
    judges: Annotated[
        str,
        typer.Option(
            "--judges",
            metavar="DIR",
            help="Look for heads, models and tables of performance in this folder. Default: judges.",
        ),
    ] = "judges"
    results: Annotated[
        str,
        typer.Option(
            "--results",
            metavar="DIR",
            help="Keep finished parts and coded features in this folder, and go on from there. Default: reproduced.",
        ),
    ] = "reproduced"
    vtm: Annotated[
        str | None,
        typer.Option("--vtm", metavar="FILE", help="Code rows of VTM with this EncoderApp instead of VVenC."),
    ] = None

    def inputs(self) -> "Inputs":
        """Return the places as paths."""
        from lamofc_tools.reproduction import Inputs

        features, weights, judges = Path(self.features), Path(self.weights), Path(self.judges)
        return Inputs(features, weights, judges, Path(self.results), self.vtm)


@dataclass(frozen=True)
class PlotOptions:
    """Choices beside the table."""

    png: Annotated[
        str | None,
        typer.Option("--png", metavar="FILE", help="Draw the table's curves, or the figure's distributions."),
    ] = None
    dry_run: DryRun = False

    def check(self, plan: "Plan") -> None:
        """Refuse a drawing that cannot be made, before anything is measured."""
        from lamofc_tools.reproduction import check_drawing

        if self.png is None:
            return
        if self.dry_run:
            raise BadArgument(f"--dry-run writes no file, --png {self.png} is one", "leave out one of the two")
        check_drawing(plan, Path(self.png))

    def draw(self, reproduction: "Reproduction", inputs: "Inputs", out: Output) -> None:
        """Draw, if a file is named."""
        from lamofc_tools.reproduction import draw

        if self.png is not None:
            for file in draw(reproduction, inputs, Path(self.png)):
                out.note(f"drawn in {file}")


@flatten_options
def reproduce(input_options: InputOptions, plots: PlotOptions, out: Output, name: Name = None) -> None:
    """Make a table or figure of the papers from one's own features and weights.

    Each part whose inputs are there is measured once; a run that was stopped goes on by the same command. Beside each
    number stands the printed one. Missing inputs are listed with the commands that make them, and parts that failed
    with their errors; the exit code is then 1.
    """
    from lamofc_tools import reproduction as papers

    if name is None:
        out.show([{"name": own, "title": papers.plan_of(own).title} for own in papers.PLANS], reproduction_text.names)
        return
    plan, inputs = papers.plan_of(name), input_options.inputs()
    plots.check(plan)
    with out.bar("reproduce") as bar:
        made = papers.reproduce(plan, inputs, bar.update, dry_run=plots.dry_run)
    out.warn(made.warnings)
    out.show({"name": name, **made.to_json()}, reproduction_text.tables)
    if made.measured or not made.failed:
        plots.draw(made, inputs, out)
    if made.failed:
        raise typer.Exit(1)
