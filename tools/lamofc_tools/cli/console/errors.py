"""From an exception to two lines and an exit code: the one table of what can go wrong."""

from dataclasses import dataclass

from lamofc_store.errors import Hint

OK, FAILED, USAGE, NOT_FOUND, CONFLICT, CORRUPT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


@dataclass(frozen=True, slots=True)
class CliError:
    """What is wrong, what mends it, and what the shell is told."""

    kind: str
    message: str
    cure: str
    code: int

    def lines(self) -> tuple[str, str]:
        """The two lines."""
        return f"error: {self.message}", f"try: {self.cure}"

    def to_json(self) -> dict[str, object]:
        """The document of a failed command."""
        return {"error": {"type": self.kind, "message": self.message, "try": self.cure, "exit_code": self.code}}


_OPTIONS = {
    "features": "feature",
    "groups": "group",
    "patterns": "pattern",
    "grids": "grid",
    "storage_options": "storage-option",
}
"""Options that are given several times are called by what one of them is."""

TABLE: dict[str, tuple[int, str]] = {
    "lamofc_codecs.errors.CorruptRecord": (CORRUPT, "lamofc verify STORE names all that is damaged"),
    "lamofc_codecs.errors.BadQuality": (USAGE, "lamofc codec show CODEC lists the targets that a codec takes"),
    "lamofc_codecs.errors.UnknownCodec": (USAGE, "lamofc codec list"),
    "lamofc_codecs.errors.CodecError": (FAILED, "lamofc codec list says what each codec takes"),
    "lamofc_catalog.errors.SchemaConflict": (CONFLICT, "give the column another name or its first type"),
    "lamofc_catalog.errors.BadQuery": (USAGE, "lamofc sql STORE 'DESCRIBE records' lists the columns of a view"),
    "lamofc_catalog.errors.CatalogError": (FAILED, "lamofc verify STORE names all that is damaged"),
    "lamofc_store.errors.StoreError": (FAILED, "the option --help tells what the command takes"),
    "builtins.FileNotFoundError": (NOT_FOUND, "check the path"),
    "builtins.IsADirectoryError": (FAILED, "give a file, not a folder"),
    "builtins.NotADirectoryError": (FAILED, "give a path whose folders are folders"),
    "builtins.PermissionError": (FAILED, "give yourself the right to it, or choose another place"),
    "builtins.OSError": (FAILED, "mend what the system says and run the same command again"),
    "builtins.MemoryError": (FAILED, "take fewer or smaller features at a time"),
    "builtins.KeyboardInterrupt": (
        INTERRUPTED,
        "run the same command again: what was committed stays, it goes on there",
    ),
}
"""Class to exit code and to the cure for an error that brings none. Store errors bring their own codes.

Classes are named, not imported: importing the codecs would load torch for `lamofc --help`.
"""


def trouble(error: BaseException) -> CliError:
    """What to tell of an exception."""
    kind = type(error).__name__
    if hasattr(error, "format_message"):  # a usage error of typer, whichever click it carries
        return CliError("Usage", _line(error.format_message()), f"{_path(error)} --help", USAGE)
    row = next((TABLE[name] for name in map(_qualified, type(error).__mro__) if name in TABLE), None)
    if row is None:
        told = f"{kind}: {_line(str(error))}" if str(error) else kind
        return CliError(kind, told, "the same command with --debug shows where it happened", FAILED)
    code, cure = row
    return CliError(
        kind,
        _message(error),
        _line(_worded(getattr(error, "cure", "") or cure)),
        int(getattr(error, "exit_code", code)),
    )


def _worded(cure: str) -> str:
    """The cure with its arguments as options."""
    return cure.worded(option) if isinstance(cure, Hint) else cure


def option(argument: str) -> str:
    """The option that stands for an argument of a library function."""
    return f"--{_OPTIONS.get(argument, argument.replace('_', '-'))}"


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.strerror:
        return _line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return _line(str(error) or type(error).__name__)


def _line(text: str) -> str:
    return " ".join(text.split())


def _path(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "lamofc"
