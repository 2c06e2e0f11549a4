"""The last step of reconstruction as one kernel: sums of columns to values, in one pass over memory.

Import this module only where it is used: not every machine has Triton. The kernel multiplies and adds as the array
operations do, each result rounded by itself: it must be launched without fused multiplication and addition.
"""

import torch
import triton
import triton.language as tl

BLOCK_TOKENS, BLOCK_CHANNELS = 4, 256
"""Tokens and channels of one program."""
Codebook = tuple[torch.Tensor, torch.Tensor]
"""The index of each token, -1 for none, and the typical tokens."""


@triton.jit  # type: ignore[untyped-decorator]
def finish_kernel(  # type: ignore[no-untyped-def]  # noqa: ANN201, PLR0913
    sums,  # noqa: ANN001
    of_tokens,  # noqa: ANN001
    index,  # noqa: ANN001
    of_channels,  # noqa: ANN001
    typical,  # noqa: ANN001
    out,  # noqa: ANN001
    count,  # noqa: ANN001
    channels,  # noqa: ANN001
    TYPICAL: tl.constexpr,
    DIVIDED: tl.constexpr,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Write tokens x channels: sums times gain times scale, plus centre, plus the typical token of an index.

    `of_tokens` has the gains of all `count` tokens, then the values of a sixteenth of their steps. `of_channels` has
    the scales, or with `DIVIDED` the weights that divide steps; then the centre; then scales of typical tokens.
    """
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    listed, held = token < count, channel < channels
    inside = listed[:, None] & held[None, :]
    place = token.to(tl.int64)[:, None] * channels + channel[None, :]
    gain = tl.load(of_tokens + token, mask=listed, other=1.0)
    unit = tl.load(of_tokens + count + token, mask=listed, other=1.0)
    scale = tl.load(of_channels + channel, mask=held, other=1.0)
    if DIVIDED:
        worth = tl.div_rn(unit[:, None], scale[None, :])
        worth = tl.where(tl.abs(worth) <= 3.4028234663852886e38, worth, 0.0)
    else:
        worth = scale[None, :] * unit[:, None]
    value = tl.load(sums + place, mask=inside, other=0).to(tl.float32) * gain[:, None] * worth
    value += tl.load(of_channels + channels + channel, mask=held, other=0.0)[None, :]
    if TYPICAL:
        chosen = tl.load(index + token, mask=listed, other=-1)
        row = tl.maximum(chosen, 0).to(tl.int64)[:, None] * channels + channel[None, :]
        level = tl.load(typical + row, mask=inside & (chosen >= 0)[:, None], other=0).to(tl.float32)
        value += level * tl.load(of_channels + 2 * channels + channel, mask=held, other=0.0)[None, :]
    tl.store(out + place, value, mask=inside)


def finish(
    sums: torch.Tensor, of_tokens: torch.Tensor, of_channels: torch.Tensor, divided: bool, codebook: Codebook | None
) -> torch.Tensor:
    """Return values in float32; `codebook` is the index of each token, int32, and the typical tokens, int8."""
    count, channels = sums.shape
    out = torch.empty(count, channels, dtype=torch.float32, device=sums.device)
    index, typical = codebook or (of_tokens, of_tokens)
    if out.numel():
        grid = (triton.cdiv(count, BLOCK_TOKENS), triton.cdiv(channels, BLOCK_CHANNELS))
        finish_kernel[grid](
            sums,
            of_tokens,
            index,
            of_channels,
            typical,
            out,
            count,
            channels,
            TYPICAL=codebook is not None,
            DIVIDED=divided,
            TOKENS=BLOCK_TOKENS,
            CHANNELS=BLOCK_CHANNELS,
            enable_fp_fusion=False,
        )
    return out
