"""The table of codecs/README.md that sets words on disk beside words in code, against both."""

import re
from pathlib import Path

import pytest
import torch

import lamofc_codecs
from lamofc_codecs import Profile, Quality, Rotary, fit
from lamofc_codecs.klt.format.profile import KltParameters
from lamofc_codecs.testing.samples import feature, picture

README = Path(lamofc_codecs.__file__).parents[1] / "README.md"
ROWS = re.findall(r"^\| `klt`: (.+?) \| (.+?) \|$", README.read_text(), re.MULTILINE)
KEYS = {key for disk, _ in ROWS for key in re.findall(r"`(\w+)`", disk)}
SAME_WORD = {"sigma", "order", "basis", "basis_scale", "basis_stride", "basis_coded", "bulk_mean", "bulk_low"}
SAME_WORD |= {"bulk_high"}
"""Tensors that code calls by the words of the disk."""


@pytest.fixture(scope="module")
def profiles() -> list[Profile]:
    """Profiles that between them hold every optional tensor."""
    pictures = [picture(8, 8, 24, seed) for seed in range(12)]
    stretched = torch.randn(3, 24, generator=torch.Generator().manual_seed(1))
    begun = [torch.cat([torch.ones(1, 6), feature(40, 6, seed)]) for seed in range(8)]
    return [
        fit("klt", pictures, Quality(snr_db=15), waves=True, means=8),
        fit("klt", pictures, Quality(snr_db=15), weight=stretched, means=0, waves=False),
        fit("klt", [feature(40, 6, 1)], Quality(snr_db=15), transform="none"),
        fit("klt", [feature(300, 260, 1)], Quality(snr_db=15), weight=torch.eye(260), means=4, waves=False),
        fit("klt", begun, Quality(snr_db=15), rotary=Rotary((1.0, 0.1))),
    ]


def test_every_word_on_disk_is_in_a_profile(profiles: list[Profile]) -> None:
    assert len(ROWS) > 5
    there = {key for profile in profiles for key in (*profile.config, *profile.tensors)}
    assert there >= KEYS


def test_every_tensor_that_code_calls_otherwise_is_in_the_table(profiles: list[Profile]) -> None:
    tensors = {name for profile in profiles for name in profile.tensors}
    assert tensors == (tensors & KEYS) | SAME_WORD | {"weight", "directions", "stretch", "stretch_matrix"}
    assert not KEYS & SAME_WORD


def test_every_word_of_code_is_an_attribute(profiles: list[Profile]) -> None:
    names = {name for _, code in ROWS for name in re.findall(r"`(\w+)`", code)}
    assert names <= set(KltParameters.__dataclass_fields__)
    read = [KltParameters.from_profile(profile) for profile in profiles]
    assert all(any(getattr(parameters, name) is not None for parameters in read) for name in names)
