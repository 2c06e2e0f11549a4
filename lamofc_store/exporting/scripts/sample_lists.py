"""Lists of samples in a file of the user's: ids one a line, a JSON list of ids, or the list that a script reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lamofc_store.errors import Hint, NotFound, SourceError
from lamofc_store.exporting.scripts.script import Script

_SHOWN_NAMES = 4


def read_sample_list(path: Path, script: Script | None = None) -> list[str]:
    """Read a list: ids of samples, or with a script the stems of its files, which ids in the list stand for."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}", "convert it") from error
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror or error}", "give a list of samples") from error
    if path.suffix.lower() != ".json":
        ids = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        document = _parsed(path, text)
        if script is not None and not _is_plain(document):
            return _of_script(path, document, script)
        ids = _plain(path, document)
    if not ids:
        raise SourceError(f"{path} lists no sample", "write an id a line, or a JSON list of ids")
    return ids if script is None else [script.file_stem(sample) for sample in ids]


def list_digest(listed: Sequence[str]) -> str | None:
    """Return the digest of a list, whatever its file and the order of its lines; None for an empty one."""
    if not listed:
        return None
    return "sha256:" + hashlib.sha256(json.dumps(sorted(set(listed))).encode()).hexdigest()


def select_listed(samples: Iterable[str], listed: Sequence[str], where: str, script: Script | None = None) -> list[str]:
    """Return the samples that a list names, in their own order; NotFound if it names one that is not among them."""
    wanted = set(listed)
    chosen: dict[str, str] = {}
    for sample in samples:
        name = sample if script is None else _stem_or_none(script, sample)
        if name is not None and name in wanted:
            chosen[sample] = name
    missing = sorted(wanted - set(chosen.values()))
    if missing:
        more = f" and {len(missing) - _SHOWN_NAMES} more" if len(missing) > _SHOWN_NAMES else ""
        raise NotFound(
            f"{len(missing)} of {len(wanted)} listed samples are not in {where}:"
            f" {', '.join(missing[:_SHOWN_NAMES])}{more}",
            Hint("correct the file of [samples_from], or add these samples first"),
        )
    return list(chosen)


def _stem_or_none(script: Script, sample: str) -> str | None:
    """Return the base name of a sample's file; None for a sample that the script looks for under no name."""
    try:
        return script.stem_of(sample)
    except ValueError:
        return None


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {str(error)[:120]}", "give a list in JSON, or a text") from error


def _is_plain(document: Any) -> bool:
    return isinstance(document, list) and all(isinstance(sample, str) for sample in document)


def _plain(path: Path, document: Any) -> list[str]:
    if not _is_plain(document):
        raise SourceError(
            f"{path} is no list of texts: {json.dumps(document)[:80]}",
            Hint("give the [script] whose list it is, or write a JSON list of ids"),
        )
    return list(document)


def _of_script(path: Path, document: Any, script: Script) -> list[str]:
    """Read the form that a script's own lists have."""
    form = script.list_form or "a list of ids, as it has no list of its own"
    try:
        if script.listed is None:
            raise TypeError
        names = script.listed(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(
            f"{path} is no list of samples for {script.name}: {json.dumps(document)[:80]}",
            f"its form is {form}",
        ) from None
    if not names:
        raise SourceError(f"{path} lists no sample", f"its form is {form}")
    return names
