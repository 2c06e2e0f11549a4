"""The fit of typical tokens: k-means that compares tokens in their first directions."""

import pytest
import torch

from lamofc_codecs.klt.transform import fit_codebook, nearest_of, token_codebook


def by_definition(values: torch.Tensor, means: torch.Tensor, rounds: int) -> torch.Tensor:
    """Repeat: each token to its nearest mean, each mean to the middle of its tokens, if it has any."""
    for _ in range(rounds):
        nearest = nearest_of(values, means)
        members = [values[nearest == number] for number in range(len(means))]
        means = torch.stack([m.mean(0) if len(m) else mean for m, mean in zip(members, means, strict=True)])
    sizes = torch.bincount(nearest_of(values, means), minlength=len(means))
    order = torch.argsort(sizes, descending=True, stable=True)
    return means[order[: int((sizes > 0).sum())]]


@pytest.mark.parametrize("alike", [0, 150])
def test_means_are_the_middles_of_their_tokens(alike: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_codebook, "_SEARCH_DIRECTIONS", 4)
    monkeypatch.setattr(token_codebook, "_TOKENS_PER_PRODUCT", 32)
    values = torch.randn(400, 12, generator=torch.Generator().manual_seed(1)) * 0.8 ** torch.arange(12)
    values[:alike] = values[0]
    start = values[100:160]  # with tokens that are alike, most of these are never the nearest
    found = fit_codebook(values, len(start), start)
    assert torch.allclose(found, by_definition(values, start, token_codebook._REFIT_ROUNDS), atol=1e-5)


def test_a_mean_that_lost_its_tokens_and_finds_others_is_the_middle_of_the_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_codebook, "_SEARCH_DIRECTIONS", 1)
    monkeypatch.setattr(token_codebook, "_REFIT_ROUNDS", 2)
    searched = torch.tensor([11.0, 16.0, 19.0, 11.0, 10.0, 8.0, 18.0])
    values = torch.stack([searched, torch.arange(7.0) ** 2], 1)
    start = torch.tensor([[11.0, -5.0], [22.0, -6.0], [11.0, -7.0]])
    found = fit_codebook(values, 3, start)
    assert torch.allclose(found, by_definition(values, start, 2))
    assert values[[0, 1, 3, 4, 5], 1].mean() in found[:, 1]
