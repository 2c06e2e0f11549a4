"""`lamofc eval`: evaluate heads, or the rest of a model, on stores at several rates on read."""

from typing import Any

import typer
from typer.core import TyperGroup

from lamofc_tools.cli.model_commands import evaluate_head, evaluate_model
from lamofc_tools.deprecated_names import REMOVAL

_HEAD = "head"


class EvalGroup(TyperGroup):
    """The commands of `lamofc eval`; the former `lamofc eval HEAD STORE...` works until it is removed, with a note."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after `eval`; those of the former form go to `eval head`."""
        if args and args[0] not in self.commands and args[0] != "--help":
            typer.echo(f"lamofc eval HEAD is removed in version {REMOVAL}: use lamofc eval {_HEAD} HEAD", err=True)
            args = [_HEAD, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=EvalGroup, help="Evaluate a head, or the rest of a model, on stores at several rates.", no_args_is_help=False
)
app.command(_HEAD)(evaluate_head.evaluate_head)
app.command("model")(evaluate_model.evaluate_model)
