"""Weights in the layout of the papers' code, whose names and shapes are in papers.json.

The file holds the state dicts of LaMoFCBench's models: the shape of each parameter, and null for a buffer.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    PAPERS,
    CodecError,
    Profile,
    Sizes,
    UnsupportedInput,
    checkpoint_state,
    fit,
    import_checkpoint,
    trainable,
    weights_from_model,
)
from lamofc_codecs.learned.checkpoints import canonical, gdn_bound, gdn_parameter, sizes_of, weights_from
from lamofc_codecs.testing import drawn_weights, feature
from tests.extras import needs

pytestmark = needs("compressai")

THEIRS: dict[str, dict[str, list[int] | None]] = json.loads((Path(__file__).parent / "papers.json").read_text())
COUNTS = {"hyperprior": 5_063_041, "elic": 35_405_303}
SMALL = {
    "hyperprior": Sizes("hyperprior", 16, 24),
    "elic": Sizes("elic", 8, 40, (2, 2, 4, 8, 24)),
    "elic of CompressAI 1.2.8": Sizes("elic", 8, 40, (2, 2, 4, 8, 24), ((224, 128),) * 4),
}


def busy(sizes: Sizes) -> torch.nn.Module:
    """Build a model none of whose parameters is at its initial value."""
    torch.manual_seed(5)
    model = trainable(sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture(params=SMALL, scope="module")
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    return busy(SMALL[request.param])


@pytest.fixture(scope="module")
def weights(model: torch.nn.Module) -> Profile:
    return weights_from_model(model, 0.01)


@pytest.mark.parametrize("arch", PAPERS)
def test_networks_of_the_papers_have_their_shapes(arch: str) -> None:
    shapes = {name: shape for name, shape in THEIRS[arch].items() if shape is not None}
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == COUNTS[arch]
    state = canonical({name: torch.zeros(1).expand(shape) for name, shape in shapes.items()})
    assert sizes_of(state) == PAPERS[arch]
    assert set(weights_from(state, PAPERS[arch])) == {name for name in state if "entropy_bottleneck" not in name}
    assert sum(parameter.numel() for parameter in trainable(PAPERS[arch]).parameters()) == COUNTS[arch]


def test_an_export_has_the_names_of_the_papers(weights: Profile) -> None:
    assert checkpoint_state(weights).keys() == THEIRS[weights.codec].keys()


def test_an_export_gives_the_profile_again(weights: Profile, tmp_path: Path) -> None:
    torch.save({"state_dict": checkpoint_state(weights)}, tmp_path / "weights.pth.tar")
    again = import_checkpoint(tmp_path / "weights.pth.tar", 0.01)
    assert again.id == weights.id
    assert (tmp_path / "weights.pth.tar").stat().st_size < 1.5 * len(weights.data) + 500_000


def test_a_fitted_profile_gives_the_weights_that_it_was_fitted_with(weights: Profile, tmp_path: Path) -> None:
    fitted = fit(weights.codec, [feature(90, 64, -1)], weights=weights)
    torch.save({"state_dict": checkpoint_state(fitted)}, tmp_path / "weights.pth.tar")
    assert import_checkpoint(tmp_path / "weights.pth.tar", 0.01).id == weights.id


def test_a_model_with_exported_weights_codes_as_the_one_they_came_from(model: Any, weights: Profile) -> None:
    loaded: Any = trainable(sizes_of(canonical(model.state_dict())))
    loaded.load_state_dict(checkpoint_state(weights), strict=True)
    loaded.eval()
    plane = torch.rand(1, 1, 64, 128, generator=torch.Generator().manual_seed(1))
    model.update(force=True)
    with torch.no_grad():
        before = model.compress(plane)
        for force in (False, True):  # with the tables of the export, then with those of its densities
            loaded.update(force=force)
            after = loaded.compress(plane)
            assert after["strings"] == before["strings"]
            there = loaded.decompress(after["strings"], after["shape"])["x_hat"]
            assert torch.equal(there, model.decompress(before["strings"], before["shape"])["x_hat"])


@pytest.mark.parametrize("name", ["g_a.1.beta", "g_a.1.gamma"])
def test_parameters_of_a_gdn_are_found_from_its_weights(name: str) -> None:
    bound = gdn_bound(name)
    parameters = torch.logspace(-7, 3, 100_000).clamp(min=bound)
    weights = parameters**2 - 2.0**-36
    assert torch.equal(gdn_parameter(weights, bound), parameters)


def test_profiles_without_networks_or_densities_are_refused() -> None:
    with pytest.raises(UnsupportedInput, match="a profile of klt has no networks"):
        checkpoint_state(fit("klt", [feature(90, 24, -1)]))
    with pytest.raises(CodecError, match="not the densities"):
        checkpoint_state(drawn_weights(SMALL["elic"]))
