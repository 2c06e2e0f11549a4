"""Map every exception to two lines and an exit code, with one table of what can go wrong."""

import re
from dataclasses import dataclass

from lamofc_store.errors import Hint

OK, FAILED, USAGE, NOT_FOUND, CONFLICT, CORRUPT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


@dataclass(frozen=True, slots=True)
class CliError:
    """An error for the terminal: what is wrong, what to do, and the exit code."""

    error_type: str
    message: str
    hint: str
    code: int

    def lines(self) -> tuple[str, str]:
        """Format the two lines."""
        return f"error: {self.message}", f"try: {self.hint}"

    def to_json(self) -> dict[str, object]:
        """Convert to the document of a failed command."""
        return {"error": {"type": self.error_type, "message": self.message, "try": self.hint, "exit_code": self.code}}


_OPTION_NAMES = {
    "features": "feature",
    "groups": "group",
    "patterns": "pattern",
    "grids": "grid",
    "storage_options": "storage-option",
    "script": "for",
}
"""Arguments whose option has another name: for one of several values the option is repeated, and `for` is a keyword."""

TABLE: dict[str, tuple[int, str]] = {
    "lamofc_codecs.errors.CorruptRecord": (CORRUPT, "lamofc verify STORE lists everything that is damaged"),
    "lamofc_codecs.errors.BadQuality": (USAGE, "lamofc codec show CODEC lists the qualities that a codec takes"),
    "lamofc_codecs.errors.UnknownCodec": (USAGE, "lamofc codec list"),
    "lamofc_codecs.errors.CodecError": (FAILED, "lamofc codec list describes what each codec takes"),
    "lamofc_catalog.errors.SchemaConflict": (CONFLICT, "give the column another name or its first type"),
    "lamofc_catalog.errors.BadQuery": (USAGE, "lamofc sql STORE 'DESCRIBE records' lists the columns of a view"),
    "lamofc_catalog.errors.CatalogError": (FAILED, "lamofc verify STORE lists everything that is damaged"),
    "lamofc_store.errors.StoreError": (FAILED, "the option --help describes what the command takes"),
    "builtins.FileNotFoundError": (NOT_FOUND, "check the path"),
    "builtins.IsADirectoryError": (FAILED, "give a file, not a folder"),
    "builtins.NotADirectoryError": (FAILED, "give a path that leads through folders only"),
    "builtins.PermissionError": (FAILED, "change the permissions, or choose another place"),
    "builtins.OSError": (FAILED, "remove the cause that the system names, and run the same command again"),
    "builtins.MemoryError": (FAILED, "process fewer or smaller features at a time"),
    "builtins.KeyboardInterrupt": (INTERRUPTED, "run the same command again: it continues after the last commit"),
}
"""Exit code of each class, and the hint for an error that has none of its own. Store errors bring their own codes.

Classes are named, not imported: importing the codecs would load torch for `lamofc --help`.
"""

FOREIGN: tuple[tuple[str, re.Pattern[str], str, str], ...] = (
    (
        "torch.OutOfMemoryError",
        re.compile(""),
        "the GPU has too little memory",
        "process fewer samples at a time, or give --device cpu",
    ),
    (
        "builtins.RuntimeError",
        re.compile(r"No CUDA GPUs|no NVIDIA driver|NVIDIA driver on your system|CUDA driver|CUDA error|hipError"),
        "there is no usable CUDA device",
        "give --device cpu, or run on a machine with an NVIDIA GPU and its driver",
    ),
    (
        "builtins.AssertionError",
        re.compile("not compiled with CUDA"),
        "there is no usable CUDA device",
        "give --device cpu, or install PyTorch with CUDA",
    ),
    (
        "builtins.RuntimeError",
        re.compile("not enough memory|can't allocate memory"),
        "there is too little memory",
        "process fewer or smaller features at a time",
    ),
    (
        "botocore.exceptions.BotoCoreError",
        re.compile(""),
        "the object store cannot be reached",
        "check the URL, the network, the credentials and --storage-option",
    ),
    (
        "botocore.exceptions.ClientError",
        re.compile(""),
        "the object store refused the request",
        "check the bucket, its permissions and --storage-option",
    ),
)
"""Errors of other libraries: class, pattern of its message, the message to show instead, and the hint."""


def error_of(error: BaseException) -> CliError:
    """Convert an exception to an error for the terminal."""
    error_type = type(error).__name__
    if hasattr(error, "format_message"):  # a usage error of typer, whichever click it bundles
        return CliError("Usage", _line(error.format_message()), f"{_command_path(error)} --help", USAGE)
    classes = [_qualified(ancestor) for ancestor in type(error).__mro__]
    for name, pattern, message, hint in FOREIGN:
        if name in classes and pattern.search(str(error)):
            return CliError(error_type, f"{message}: {_first_line(str(error))}", hint, FAILED)
    row = next((TABLE[name] for name in classes if name in TABLE), None)
    if row is None:
        message = f"{error_type}: {_line(str(error))}" if str(error) else error_type
        return CliError(error_type, message, "the same command with --debug shows where it happened", FAILED)
    code, default_hint = row
    hint = getattr(error, "cure", "") or default_hint
    text = hint.worded(option_name) if isinstance(hint, Hint) else hint
    exit_code = int(getattr(error, "exit_code", code))
    return CliError(error_type, _message(error), _line(text).removeprefix("try "), exit_code)


def option_name(argument: str) -> str:
    """Name the option that stands for an argument of a library function."""
    return f"--{_OPTION_NAMES.get(argument, argument.replace('_', '-'))}"


def _qualified(error_class: type) -> str:
    return f"{error_class.__module__}.{error_class.__qualname__}"


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError) and error.strerror:
        return _line(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return _line(str(error) or type(error).__name__)


def _line(text: str) -> str:
    return " ".join(text.split())


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]


def _command_path(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "lamofc"
