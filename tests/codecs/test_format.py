"""The README is enough: a decoder written from it reads every golden as the package does."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

import lamofc_codecs
from lamofc_codecs import Profile, decode
from lamofc_codecs.grid import DTYPES

HERE = Path(__file__).parent
FOLDERS = sorted(path for path in (HERE / "goldens").iterdir() if path.is_dir())
_spec = importlib.util.spec_from_file_location("readme_decoder", HERE / "readme_decoder.py")
assert _spec is not None and _spec.loader is not None
plain = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plain)

TABLES = plain.Tables(Path(lamofc_codecs.__file__).with_name("sigma_tables.safetensors"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_package_decodes_what_the_readme_says(folder: Path) -> None:
    record, profile = (folder / "record.bin").read_bytes(), (folder / "profile.safetensors").read_bytes()
    number, dtype, tokens, channels, section = plain.sections(record)
    ours = torch.cat(decode([record], Profile.load(profile)))
    kind = getattr(torch, DTYPES[dtype])
    exact: dict[int, bytes] = {}
    if not tokens * channels:
        assert section in (b"", b"\0")
        expected = torch.empty(0, dtype=kind)
    elif number == 1:
        expected = torch.frombuffer(bytearray(plain.raw(section, dtype, tokens * channels)), dtype=kind)
    elif number == 2:
        values, exact = plain.uniform(section, tokens, profile, TABLES)
        expected = rounded(values, kind)
    else:
        expected = rounded(plain.lloydmax(section, tokens * channels, profile), kind)
    for position, value in exact.items():
        expected[position] = torch.frombuffer(bytearray(value), dtype=kind)[0]
    assert bytes_of(ours) == bytes_of(expected)


def rounded(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], kind: torch.dtype) -> torch.Tensor:
    found = torch.from_numpy(values).reshape(-1)
    if kind == torch.float16:
        found = found.clamp(-65504, 65504)
    return found.to(kind)


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
