"""Sums of squared gradients under random signs, on linear answers whose squares are known."""

import pytest
import torch

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.gradients import Deviations, Reading, SquareSums, fisher_draws, generators_for, sign_draws

WEIGHT = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
NAMES = [f"item {number}" for number in range(6)]


def read(draws: int, *, signs: bool) -> SquareSums:
    """Six items of three tokens of four channels, five outputs each."""
    features = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    answer, generators = features @ WEIGHT.T, generators_for(NAMES, 0)
    drawn = sign_draws(answer, torch.ones(5), generators, draws) if signs else fisher_draws(answer, generators, draws)
    sums = SquareSums()
    sums.add(Reading({"a": features}, answer, drawn))
    return sums


def test_random_signs_give_squared_jacobians() -> None:
    torch.testing.assert_close(read(800, signs=True).means(18)["a"], WEIGHT.T @ WEIGHT, rtol=0.1, atol=0.1)


def test_likelihoods_under_random_signs_give_fisher_matrices() -> None:
    features = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1))
    chances = (features @ WEIGHT.T).softmax(-1).flatten(0, 1)
    fisher = sum(WEIGHT.T @ (row.diag() - row[:, None] * row) @ WEIGHT for row in chances) / 18
    torch.testing.assert_close(read(800, signs=False).means(18)["a"], fisher, rtol=0.1, atol=0.02)


def test_few_draws_are_enough_where_answers_are_nearly_certain() -> None:
    logits = torch.zeros(1000, 5)
    logits[:, 0] = 8
    chances = logits[0].softmax(-1)
    fisher = chances.diag() - chances[:, None] * chances
    (drawn,) = fisher_draws(logits[None], generators_for(["a"], 0), 1)
    torch.testing.assert_close(drawn[0].T @ drawn[0] / 1000, fisher, rtol=0.01, atol=0.1 * float(fisher[1, 1]))


def test_answers_that_do_not_count_have_no_gradient() -> None:
    logits, answered = torch.zeros(6, 3, 5), torch.tensor([True, False, True]).expand(6, 3)
    (drawn,) = fisher_draws(logits, generators_for(NAMES, 0), 1, answered)
    assert drawn[answered].abs().sum() > 0 == drawn[~answered].abs().sum()
    torch.testing.assert_close(drawn.sum(-1), torch.zeros(6, 3))


def test_patterns_say_which_axis_holds_channels() -> None:
    features = torch.randn(2, 4, 3, 3, requires_grad=True)
    sums = SquareSums()
    sums.add(Reading({"a": features}, features * 2, [torch.ones_like(features)], {"a": "b c h w -> (b h w) c"}))
    torch.testing.assert_close(sums.means(18)["a"], torch.full((4, 4), 4.0))


def test_rows_that_do_not_count_are_left_out() -> None:
    features = torch.randn(2, 3, 4, requires_grad=True)
    sums = SquareSums()
    drawn = torch.arange(1.0, 7.0).view(2, 3, 1).expand(2, 3, 4)
    sums.add(Reading({"a": features}, features * 2, [drawn], {}, lambda name, rows: rows[len(name) :: 3]))
    torch.testing.assert_close(sums.means(1)["a"], torch.full((4, 4), 4.0 * (2**2 + 5**2)))


def test_deviations_are_of_channels_and_constant_ones_count_nothing() -> None:
    values = torch.stack([torch.arange(8.0).view(2, 2, 2), torch.full((2, 2, 2), 3.0)], 1)
    deviations = Deviations(-3)
    for item in values.split(1):
        deviations.add(item)
    assert deviations.values == 16
    scale = deviations.scale(values)
    assert scale.shape == (2, 1, 1) and scale[1] == 0
    assert float((values * scale)[:, 0].var(correction=0)) == pytest.approx(1)


def test_a_channel_of_rounding_errors_alone_counts_nothing() -> None:
    deviations = Deviations()
    deviations.add(torch.stack([torch.arange(8.0), torch.arange(8.0) * 1e-32], 1)[None])
    assert deviations.scale(torch.zeros(1))[1] == 0 < deviations.scale(torch.zeros(1))[0]


def test_a_feature_that_nothing_reads_is_an_error() -> None:
    used, unused = torch.ones(1, 2, requires_grad=True), torch.ones(1, 3, requires_grad=True)
    with pytest.raises(BadArgument, match=r"leads to 'b', of shape \(1, 3\)"):
        SquareSums().add(Reading({"a": used, "b": unused}, used * 2, [torch.ones(1, 2)]))
