"""The decoder of a published head: everything behind the final norm of the vision transformer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import interpolate

from lamofc_store.sample import Grid
from lamofc_tools.heads.contract import Task


class TokenDecoder(nn.Module, ABC):
    """Computes a task's outputs from the tokens of one or several layers, each samples x tokens x channels."""

    @abstractmethod
    def forward(self, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        """Return logits of samples, or maps of scores or of depths in the decoder's own size."""

    def resized(self, layers: Sequence[Tensor], grid: Grid, size: Sequence[int]) -> Tensor:
        """Return maps resized to the rows and columns of the targets."""
        return interpolate(self(layers, grid).float(), size=tuple(size), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class HeadParts:
    """A published head, taken apart, with all that its folder or file says of it."""

    decoder: TokenDecoder
    task: Task
    widths: tuple[int, ...]
    """Channels of the layers that it reads."""
    normed: tuple[bool, ...]
    """Whether the final norm of the model is applied to each layer first."""
    norm: nn.LayerNorm | None = None
    """The final norm, if the folder has it."""
    prefix: int | None = None
    """Tokens before the patches, if the folder says it."""
    blocks: tuple[int, ...] = ()
    """Numbers of the blocks whose outputs it reads, counted from zero, if the folder says it."""
    names: tuple[str, ...] = ()
    """Names of the classes, if the folder has them."""


def patch_map(tokens: Tensor, grid: Grid) -> Tensor:
    """Arrange the patches as samples x channels x rows x columns."""
    patches = tokens[:, grid.prefix :]
    return patches.reshape(len(patches), grid.height, grid.width, -1).permute(0, 3, 1, 2).contiguous()
