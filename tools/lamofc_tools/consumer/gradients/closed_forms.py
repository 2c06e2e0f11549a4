"""Squared gradients of one attention layer, and of a norm, without any backward pass.

Each is what errors of one token, all else unchanged, do to what is computed from it: keys to attention scores, values
to what attention adds to the hidden state, a hidden state to the projections behind its norm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs import Rotary


def key_squares(moments: Tensor, lag_weights: Tensor, rotary: Rotary | None = None) -> Tensor:
    """Return the mean of the squared scores that an error of a key of one head makes, channels x channels.

    `moments` are E[q q'] of the queries of each query head that reads the key, before their rotation, heads x channels
    x channels. A query that stands d tokens after a key sees it turned by d: M is the sum over heads and d of
    w R(d) E[q q'] R(d)', for keys before their rotation. `lag_weights`, heads x lags, are the w, such as one for
    every query or the square of the attention times that of the value's part in the output. Scores are those before
    any scaling.
    """
    sizes, vectors = torch.linalg.eigh(moments.double())
    roots = (vectors * sizes.clamp_min(0).sqrt()[:, None]).mT
    weights = lag_weights.double().clamp_min(0)
    if rotary is None:
        turned, weights = roots[:, :, None], weights.sum(1, keepdim=True)
    else:
        repeated = roots[:, :, None].expand(-1, -1, weights.shape[1], -1)
        turned = replace(rotary, heads=1).turned(repeated.contiguous(), np.arange(weights.shape[1]))
    rows = (turned * weights.sqrt()[:, None, :, None]).flatten(0, 2)
    squares: Tensor = rows.mT @ rows
    return squares.to(moments)


def value_squares(attention: Tensor, projections: Tensor) -> Tensor:
    """Return the mean of the squared change of an attention's output by an error of a value, channels x channels.

    `attention` holds the weights of each query head that reads the values, heads x queries x keys; `projections` the
    part of the output's projection that each reads, heads x outputs x channels. M is the sum over pairs of heads of
    c W' W, where c is the mean over keys of the sum over queries of the product of both heads' attention.
    """
    together = torch.einsum("hqk,gqk->hg", attention.double(), attention.double()) / attention.shape[-1]
    wide = projections.double()
    return torch.einsum("hg,hoc,god->cd", together, wide, wide).to(projections)


def norm_squares(hidden: Tensor, gain: Tensor, projection: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return the mean over tokens of J'J of projections of an RMS norm, channels x channels.

    `hidden` is tokens x channels, before the norm; `gain` the norm's; `projection` outputs x channels, all of those
    that read the norm one below another. J'J is P G W' W G P / rms^2 with P = I - x x' / |x|^2: a hidden state's
    length is lost.
    """
    rows, channels = hidden.double(), hidden.shape[1]
    scaled = projection.double() * gain.double()
    inner = scaled.T @ scaled
    squares = rows.square().sum(1) + channels * epsilon
    weights = channels / squares
    lost = rows.T @ (rows * (weights / squares)[:, None])
    along = ((rows @ inner) * rows).sum(1)
    twice = rows.T @ (rows * (weights * along / squares.square())[:, None])
    total = weights.sum() * inner - lost @ inner - inner @ lost + twice
    return (total / len(rows)).to(hidden)
