"""The program `lamofc`: its commands put together, and its way out."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from lamofc_tools.cli.console import tell, trouble
from lamofc_tools.cli.model_commands import analyze, bench, codec, demo, evaluate, extract, train
from lamofc_tools.cli.store_commands import annotate, export, fit, forget, get, ingest, inspect, maintain, sql

app = typer.Typer(name="lamofc", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

for command in (
    demo.demo,
    ingest.ingest,
    extract.extract,
    fit.fit,
    analyze.analyze,
    bench.bench,
    train.train,
    annotate.annotate,
    inspect.info,
    inspect.ls,
    inspect.log,
    get.get,
    export.export,
    sql.sql,
    forget.forget,
    maintain.verify,
    maintain.compact,
    maintain.gc,
):
    app.command()(command)
app.command("eval")(evaluate.judge)
app.add_typer(codec.app, name="codec")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """A feature database for frozen large models."""
    if version:
        from lamofc_store.version import VERSION

        typer.echo(f"lamofc {VERSION}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Errors are two lines on stderr, never a traceback without --debug."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    flags = given[: given.index("--")] if "--" in given else given
    try:
        command = typer.main.get_command(app)
        with command.make_context("lamofc", given) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as left:
        return int(left.exit_code)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in flags:
            traceback.print_exc()
        found = trouble(error)
        tell(found, as_json="--json" in flags)
        return found.code
    return 0
