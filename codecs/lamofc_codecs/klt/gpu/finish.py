"""The last step of reconstruction: sums of columns to values, for the tokens of all records at once."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.klt.gpu.batch_entry import BatchEntry
from lamofc_codecs.klt.quantise import SIXTEENTHS, inverse_gain_factors
from lamofc_codecs.runtime import devices

_OF_CHANNELS: WeakKeyDictionary[KltParameters, dict[tuple[int, int, torch.device], Tensor]] = WeakKeyDictionary()
"""Factors of channels that are on a device already, by parameters, channels and device."""


def finish(batch: Sequence[BatchEntry], parameters: KltParameters, sums: Tensor, channels: slice) -> Tensor:
    """Turn sums, int32 or float32, of some channels to values in float32; they may be overwritten.

    Each operation is rounded by itself, in the order of the CPU's reconstruction: gain, scale, centre, typical token.
    """
    of_tokens = _of_tokens(batch, len(sums)).to(sums.device)
    of_channels, divided = _of_channels(parameters, channels, sums.device), parameters.basis is None
    codebook = None
    if parameters.codebook is not None:
        indices = [entry.opened.side.index for entry in batch if entry.opened.side.index is not None]
        index = torch.from_numpy(np.concatenate(indices).astype(np.int32)).to(sums.device)
        codebook = index, parameters.codebook.basis.rows[:, channels].to(sums.device).contiguous()
    if sums.device.type in devices.TRITON:
        from lamofc_codecs.klt.gpu import finish_kernel

        finished: Tensor = finish_kernel.finish(sums.contiguous(), of_tokens, of_channels, divided, codebook)
        return finished
    gain, unit = of_tokens[:, :, None]
    scale, centre, typical_scale = of_channels
    values: Tensor = sums.to(torch.float32) * gain
    if divided:
        worth = unit / scale
        values *= torch.where(worth.isfinite(), worth, 0.0)
    else:
        values *= scale * unit
    values += centre
    if codebook is not None:
        index, typical = codebook
        rows = typical[index.clamp(min=0)] * (index >= 0)[:, None]
        values += rows.to(torch.float32) * typical_scale
    return values


def _of_tokens(batch: Sequence[BatchEntry], count: int) -> Tensor:
    """The gain of each token, then the value of a sixteenth of its step."""
    factors = np.ones((2, count), np.float32)
    for entry in batch:
        side = entry.opened.side
        if side.item_gains is not None:
            factors[0, entry.rows] = inverse_gain_factors(side.item_gains, side.tokens.count)
        factors[1, entry.rows] = entry.opened.head.step_of(len(entry.runs) - 1) / np.float32(SIXTEENTHS)
    return torch.from_numpy(factors)


def _of_channels(parameters: KltParameters, channels: slice, device: torch.device) -> Tensor:
    """The scale of each channel, or the weight that divides steps; the centre; the scale of typical tokens."""
    held = _OF_CHANNELS.setdefault(parameters, {})
    key = channels.start, channels.stop, device
    if key not in held:
        basis, codebook = parameters.basis, parameters.codebook
        scale = parameters.error_weights.weight if basis is None else basis.scale.numpy()
        typical = np.zeros_like(parameters.space.centre) if codebook is None else codebook.basis.scale.numpy()
        factors = np.stack([scale[channels], parameters.space.centre[channels], typical[channels]])
        held[key] = torch.from_numpy(factors.astype(np.float32)).to(device)
    return held[key]
