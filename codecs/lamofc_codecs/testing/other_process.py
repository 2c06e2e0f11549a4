"""A process beside this one, which encodes nothing and decodes the records of all conformance tests: it starts once."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from lamofc_codecs.codec import Codec
from lamofc_codecs.profile import Profile

_DECODER = """
import hashlib, importlib, json, os, sys, torch, traceback
from lamofc_codecs import CODECS, Profile, decode

def answer(record, profile, paths, *named):
    sys.path[:] = paths
    if named:
        CODECS.register(getattr(importlib.import_module(named[0]), named[1]))
    tensor = decode([open(record, "rb").read()], Profile.load(profile))[0]
    digest = hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
    return f"{digest} {tuple(tensor.shape)} {tensor.dtype}"

answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # where a codec prints to
for line in sys.stdin:
    try:
        found = {"decoded": answer(*json.loads(line))}
    except BaseException:
        found = {"error": traceback.format_exc()}
    print(json.dumps(found), file=answers, flush=True)
"""


def decode_elsewhere(record: bytes, profile: Profile, codec: str | type[Codec]) -> str:
    """Return SHA-256, shape and dtype of the tensor that another process decodes from a record."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("record", "profile.safetensors")]
        paths[0].write_bytes(record)
        profile.save(paths[1])
        named = [] if isinstance(codec, str) else [codec.__module__, codec.__qualname__]
        answer = _ask([*map(str, paths), [path or str(Path.cwd()) for path in sys.path], *named])
    assert "decoded" in answer, f"another process cannot decode the record:\n{answer['error']}"  # noqa: S101
    return answer["decoded"]


def _ask(question: list[object]) -> dict[str, str]:
    """Put a question to the process, which ends where its answer is not waited for."""
    process = _decoder()
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
    try:
        print(json.dumps(question), file=process.stdin, flush=True)
        answer: dict[str, str] = json.loads(process.stdout.readline())
    except (BrokenPipeError, json.JSONDecodeError):
        _end(process)
        return {"error": f"it ended with exit status {process.returncode}"}
    except BaseException:
        _end(process)
        raise
    return answer


@cache
def _decoder() -> subprocess.Popen[str]:
    """Start the process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _DECODER]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    """End the process; the next question starts another."""
    _decoder.cache_clear()
    atexit.unregister(_end)
    process.kill()
    with suppress(BrokenPipeError):
        process.communicate()
