"""The program `lamofc`: assembles the commands, runs one, and turns every exception into an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from lamofc_tools.cli.console import error_of, print_error
from lamofc_tools.cli.model_commands import analyze, bench, codec, demo, evaluate, extract, train
from lamofc_tools.cli.paper_commands import reproduce
from lamofc_tools.cli.store_commands import annotate, export, fit, forget, get, ingest, inspect, maintain, sql

COMPLETION_VARIABLE = "_LAMOFC_COMPLETE"
"""Environment variable with which a shell asks for completions."""

app = typer.Typer(name="lamofc", pretty_exceptions_enable=False, rich_markup_mode=None)

for command in (
    demo.demo,
    ingest.ingest,
    extract.extract,
    fit.fit,
    analyze.analyze,
    bench.bench,
    bench.correlate,
    reproduce.reproduce,
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
app.add_typer(evaluate.app, name="eval")
app.add_typer(codec.app, name="codec")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Store, query and decode the features of frozen large models."""
    if version:
        from lamofc_store.version import VERSION

        typer.echo(f"lamofc {VERSION}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. An error is two lines on stderr, with a traceback under --debug."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    flags = words[: words.index("--")] if "--" in words else words
    try:
        command = typer.main.get_command(app)
        if COMPLETION_VARIABLE in os.environ:
            command.main(prog_name="lamofc")  # prints completions and exits
        with command.make_context("lamofc", words) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as left:
        return int(left.exit_code)
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in flags:
            traceback.print_exc()
        cli_error = error_of(error)
        print_error(cli_error, as_json="--json" in flags)
        return cli_error.code
    return 0
