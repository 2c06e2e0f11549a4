"""A process beside this one, which decodes the records of all conformance tests: it starts once."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from lamofc_codecs.codec import Codec
from lamofc_codecs.profile import Profile

_DECODER = """
import hashlib, importlib, json, sys, torch, traceback
from lamofc_codecs import CODECS, Profile, decode

def answer(record, profile, paths, *named):
    sys.path[:] = paths
    if named:
        CODECS.register(getattr(importlib.import_module(named[0]), named[1]))
    tensor = decode([open(record, "rb").read()], Profile.load(profile))[0]
    digest = hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
    return f"{digest} {tuple(tensor.shape)} {tensor.dtype}"

answers, sys.stdout = sys.stdout, sys.stderr
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
    process = _decoder()
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
    try:
        print(json.dumps(question), file=process.stdin, flush=True)
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if line:
        answer: dict[str, str] = json.loads(line)
        return answer
    _decoder.cache_clear()
    return {"error": f"it ended with exit status {process.wait()}"}


@cache
def _decoder() -> subprocess.Popen[str]:
    """Start the process, which ends with this one: its input does."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _DECODER]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
