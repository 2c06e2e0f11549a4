"""Stretched directions, one by one or as a matrix: the same weights, from fewer bytes where they are many."""

import pytest
import torch

from lamofc_codecs import Profile
from lamofc_codecs.klt.transform.stretches import Directions, Stretch, StretchMatrix, find_stretch, read_stretch

CHANNELS = 160
DRAW = torch.Generator().manual_seed(6)
MATRIX = (torch.randn(300, CHANNELS, generator=DRAW) * torch.logspace(0, -1, CHANNELS)).double()
VALUES = torch.randn(200, CHANNELS, generator=DRAW)


@pytest.fixture(scope="module", params=["single", "of a group"])
def stretch(request: pytest.FixtureRequest) -> Stretch:
    return find_stretch(MATRIX, 1.0, 1.0, 0, of_group=request.param == "of a group")


def test_many_directions_are_a_matrix(stretch: Stretch) -> None:
    assert isinstance(stretch, StretchMatrix)
    assert isinstance(find_stretch(MATRIX[:70], 1.0, 1.0, 0), Directions)
    assert isinstance(find_stretch(MATRIX[:, :127], 1.0, 1.0, 0), Directions)


def test_the_matrix_stretches_as_the_weight_says(stretch: Stretch) -> None:
    wanted = (VALUES.double() @ (MATRIX.T @ MATRIX + torch.eye(CHANNELS)) * VALUES).sum(1)
    stretched = VALUES + stretch.added(VALUES)
    assert torch.allclose(stretched.double().square().sum(1), wanted, rtol=0.003)
    assert stretch.energy(VALUES) == pytest.approx(float(wanted.sum()), rel=0.001)
    assert torch.allclose(stretch.stretch_rows(VALUES), stretched, atol=1e-4)


def test_shrinking_inverts_stretching(stretch: Stretch) -> None:
    assert torch.allclose(stretch.shrink_rows(stretch.stretch_rows(VALUES)), VALUES, atol=1e-4)


def test_a_profile_keeps_the_matrix_in_few_bytes(stretch: Stretch) -> None:
    of_group = isinstance(stretch, StretchMatrix) and stretch.of_group
    profile = Profile("klt", {}, stretch.tensors())
    read = read_stretch(profile, 0, CHANNELS, of_group=of_group)
    assert read is not None
    assert torch.equal(read.added(VALUES), stretch.added(VALUES))
    assert sum(tensor.nbytes for tensor in profile.tensors.values()) < 0.5 * 2 * CHANNELS**2
    assert read_stretch(profile, 7, CHANNELS, of_group=True) is None


def test_a_matrix_beyond_its_bounds_is_not_valid(stretch: Stretch) -> None:
    assert isinstance(stretch, StretchMatrix)
    assert stretch.valid
    assert not StretchMatrix(0, torch.full((2, 2), (1 << 21) + 1, dtype=torch.int32)).valid
    assert not StretchMatrix(0, torch.tensor([[0, 17], [17, 0]], dtype=torch.int32)).valid
    assert StretchMatrix(0, torch.tensor([[0, 15], [15, 0]], dtype=torch.int32)).valid


def test_the_half_below_the_diagonal_is_mirrored() -> None:
    mirrored = StretchMatrix.from_half(0, torch.arange(6, dtype=torch.int32), 3, of_group=False).rounded
    assert mirrored.tolist() == [[0, 1, 3], [1, 2, 4], [3, 4, 5]]
