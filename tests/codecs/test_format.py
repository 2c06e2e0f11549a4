"""The README is enough: a decoder written from it reads every golden as the package does."""

from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch

import lamofc_codecs
from lamofc_codecs import Profile, decode, inspect
from lamofc_codecs.record.grid import DTYPES
from lamofc_tools.generate.make_goldens import cases
from tests.codecs import readme_decoder as plain
from tests.codecs import readme_klt as klt
from tests.codecs import readme_learned as learned

HERE = Path(__file__).parent
FOLDERS = sorted(path for path in (HERE / "goldens").iterdir() if path.is_dir())

CASES = {case.name: case for case in cases()}
TABLES = plain.Tables(Path(lamofc_codecs.__file__).parent / "entropy/sigma_tables.safetensors")


def profile_of(folder: Path) -> bytes:
    file = folder / "profile.safetensors"
    return file.read_bytes() if file.exists() else CASES[folder.name].profile().data


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_package_decodes_what_the_readme_says(folder: Path) -> None:
    record, profile = (folder / "record.bin").read_bytes(), profile_of(folder)
    loaded = Profile.load(profile)
    for prefix in (record[:end] for end in accumulate(inspect(record).layer_bytes())):
        ours = decode([prefix], loaded)
        number, dtypes, tokens, channels, sections = plain.sections(prefix)
        if len(channels) == 1:
            ours = [torch.cat(ours)]
        for part, expected in enumerate(read(number, dtypes, tokens, channels, sections, profile)):
            if number in (5, 6) and "range" in folder.name:
                scale = float(expected.float().abs().max())
                assert float((ours[part].reshape(-1).float() - expected.float()).abs().max()) <= 1e-3 * scale
            elif number in (5, 6):
                # Sums of floats in another order may turn a pixel that lies between two levels into the other one.
                assert float((ours[part].reshape(-1) != expected).float().mean()) < 0.01
            else:
                assert bytes_of(ours[part]) == bytes_of(expected)
            if len(channels) > 1:
                assert bytes_of(decode([prefix], loaded, parts=[part])[0]) == bytes_of(expected)


def read(
    number: int, dtypes: list[int], tokens: int, channels: list[int], sections: list[bytes], profile: bytes
) -> list[torch.Tensor]:
    """What the decoder from the README makes of a record, flat, for each part."""
    kinds = [getattr(torch, DTYPES[dtype]) for dtype in dtypes]
    if not tokens * sum(channels):
        assert b"".join(sections) in (b"", b"\0")
        return [torch.empty(0, dtype=kind) for kind in kinds]
    if number == 1:
        data = plain.raw(sections[0], dtypes[0], tokens * channels[0])
        return [torch.frombuffer(bytearray(data), dtype=kinds[0])]
    exact: list[dict[int, bytes]] = [{} for _ in kinds]
    if number == 2:
        values, exact[0] = plain.uniform(sections[0], tokens, profile, TABLES)
    elif number == 3:
        values = plain.lloydmax(sections[0], tokens * channels[0], profile)
    elif number in (5, 6):
        values = learned.learned("hyperprior" if number == 5 else "elic", sections[0], (tokens, sum(channels)), profile)
    elif number in (7, 8):
        imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
        container = "vvc" if number == 7 else "hevc"
        values = learned.frame(container, sections[0], (tokens, sum(channels)), profile, imageio_ffmpeg.get_ffmpeg_exe)
    else:
        values, exact = klt.klt(sections, tokens, channels, profile, TABLES, plain)
    found, first = [], 0
    for part, (kind, width) in enumerate(zip(kinds, channels, strict=True)):
        flat = rounded(values.reshape(tokens, -1)[:, first : first + width].copy(), kind)
        for position, value in exact[part].items():
            flat[position] = torch.frombuffer(bytearray(value), dtype=kind)[0]
        found.append(flat)
        first += width
    return found


def rounded(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], kind: torch.dtype) -> torch.Tensor:
    found = torch.from_numpy(values).reshape(-1)
    if kind == torch.float16:
        found = found.clamp(-65504, 65504)
    return found.to(kind)


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
