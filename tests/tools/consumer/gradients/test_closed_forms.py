"""Closed forms against gradients of an attention layer and of a norm."""

import pytest
import torch
from torch import Tensor

from lamofc_codecs import Rotary
from lamofc_tools.consumer.gradients import key_squares, norm_squares, value_squares

TOKENS, HEADS, SIZE, OUTPUTS = 9, 3, 8, 12


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squares(jacobian: Tensor) -> Tensor:
    """J'J of values x channels."""
    rows = jacobian.flatten(0, -2)
    return rows.T @ rows


@pytest.mark.parametrize("rotary", [None, Rotary((1.0, 0.3, 0.1), "halves", 2), Rotary((0.7, 0.2), "neighbours", 2)])
def test_keys_are_felt_by_scores(rotary: Rotary | None) -> None:
    """Queries that are the same at every place, so that their moments do not depend on it."""
    queries = drawn(HEADS, SIZE)

    def turned(rows: Tensor) -> Tensor:
        return rows if rotary is None else Rotary(rotary.frequencies, rotary.pairs).turned(rows)

    def scores(keys: Tensor) -> Tensor:
        all_queries = turned(queries[:, None].expand(HEADS, TOKENS, SIZE).contiguous())
        return (all_queries @ turned(keys).T).tril()

    keys = drawn(TOKENS, SIZE, seed=1)
    jacobian = torch.autograd.functional.jacobian(scores, keys)
    wanted = sum(squares(jacobian[..., token, :]) for token in range(TOKENS)) / TOKENS
    moments = queries[:, :, None] * queries[:, None]
    lags = (TOKENS - torch.arange(TOKENS)).expand(HEADS, -1) / TOKENS
    torch.testing.assert_close(key_squares(moments, lags, rotary), wanted, rtol=1e-4, atol=1e-5)


def test_values_are_felt_by_the_output() -> None:
    attention = drawn(HEADS, TOKENS, TOKENS).tril().exp().tril()
    attention = attention / attention.sum(-1, keepdim=True)
    projections = drawn(HEADS, OUTPUTS, SIZE, seed=1)

    def output(values: Tensor) -> Tensor:
        return torch.einsum("hqk,kc,hoc->qo", attention, values, projections)

    jacobian = torch.autograd.functional.jacobian(output, drawn(TOKENS, SIZE, seed=2))
    wanted = sum(squares(jacobian[..., token, :]) for token in range(TOKENS)) / TOKENS
    torch.testing.assert_close(value_squares(attention, projections), wanted)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_hidden_states_are_felt_behind_a_norm(epsilon: float) -> None:
    hidden, gain, projection = drawn(TOKENS, SIZE), drawn(SIZE, seed=1), drawn(OUTPUTS, SIZE, seed=2)

    def projected(row: Tensor) -> Tensor:
        return projection @ (gain * row * (row.square().mean() + epsilon).rsqrt())

    wanted = sum(squares(torch.autograd.functional.jacobian(projected, row)) for row in hidden) / TOKENS
    torch.testing.assert_close(norm_squares(hidden, gain, projection, epsilon), wanted)
