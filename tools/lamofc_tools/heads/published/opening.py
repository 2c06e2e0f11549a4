"""Open a head that others trained, for the features of a store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from lamofc_store import Store
from lamofc_store.errors import BadArgument, Hint, NotFound
from lamofc_store.sample import Grid
from lamofc_tools.heads.contract import TrainingConfig, TrainingSet
from lamofc_tools.heads.published.decoder import HeadParts
from lamofc_tools.heads.published.depth_bins import DepthBins
from lamofc_tools.heads.published.final_norm import read_final_norm
from lamofc_tools.heads.published.head import PublishedHead
from lamofc_tools.heads.published.transformers_folder import read_folder
from lamofc_tools.heads.published.weight_file import read_weights

NO_NORM = "none"
"""Word in place of a backbone for features that are stored behind its final norm."""


@dataclass(frozen=True, kw_only=True)
class PublishedSource:
    """A published head, and all that its folder or file cannot say."""

    path: Path
    target: str
    features: tuple[str, ...] = ()
    """Features that it reads, from early to late; none for those that the head names, or else all."""
    grid: Grid | None = None
    """Layout of the tokens; None for the one that the store has."""
    backbone: str | None = None
    """Folder or file with the model's final norm, or `none` if features are stored behind it."""
    bins: tuple[float, float] | None = None
    """Least and greatest depth of the head's bins; None for those that it was released with."""
    depths: tuple[float, float] | None = None
    """Least and greatest depth that counts; None for those of a trained head."""
    eigen_crop: bool = False
    """Whether depths count only in the crop in which NYUv2 is evaluated."""

    def open(self, store: Store) -> tuple[PublishedHead, dict[str, Any]]:
        """Load the head; return it with a record of the kind that a head of `lamofc train` bears in its file."""
        if self.path.is_dir():
            parts = read_folder(self.path)
            inputs = self.features or tuple(_feature_after(store, block) for block in parts.blocks)
            samples = TrainingSet.of(store, inputs, self.target)
        else:
            inputs = self.features or tuple(name for name in store.features if name != self.target)
            samples = TrainingSet.of(store, inputs, self.target)
            parts = read_weights(self.path, samples.widths(), self.bins and DepthBins(*self.bins))
        if tuple(samples.widths()) != parts.widths:
            raise BadArgument(
                f"{self.path} reads layers of {_listed(parts.widths)} channels, not {_listed(samples.widths())}",
                Hint("give [feature] for each layer that the head was trained on, from early to late"),
            )
        task = replace(parts.task, eigen_crop=self.eigen_crop)
        if self.depths is not None:
            task = replace(task, least_depth=self.depths[0], most_depth=self.depths[1])
        parts = replace(parts, task=task)
        head = PublishedHead(parts, self._norm(parts), self._grid(store, inputs[0], parts))
        return head, self._record(samples, parts)

    def _record(self, samples: TrainingSet, parts: HeadParts) -> dict[str, Any]:
        if samples.names and not set(samples.names) <= set(parts.names):
            unknown = min(set(samples.names) - set(parts.names))
            raise BadArgument(
                f"{self.target} {unknown!r} is no class that {self.path} names", "annotate the numbers of its classes"
            )
        return {
            "published": str(self.path),
            "inputs": list(samples.inputs),
            "target": self.target,
            "names": list(parts.names if samples.names else ()),
            "where": None,
            "course": TrainingConfig().to_json(),
        }

    def _norm(self, parts: HeadParts) -> nn.LayerNorm | None:
        """Return the final norm, if any layer needs it."""
        if self.backbone == NO_NORM or not any(parts.normed):
            return None
        if self.backbone is None and parts.norm is None:
            raise BadArgument(
                f"{self.path} reads features behind the final norm of its backbone, and stores keep those before it",
                Hint(f"give [backbone] the model's folder or file, or {NO_NORM} if yours are stored behind it"),
            )
        norm = parts.norm if self.backbone is None else read_final_norm(Path(self.backbone))
        if norm is None or norm.normalized_shape != parts.widths[-1:]:
            shape = None if norm is None else norm.normalized_shape[0]
            raise BadArgument(
                f"{self.backbone} has a final norm of {shape} channels, the head reads {parts.widths[-1]}",
                Hint("give [backbone] the model that the features come from"),
            )
        return norm

    def _grid(self, store: Store, feature: str, parts: HeadParts) -> Grid:
        """Return the layout of the tokens."""
        if self.grid is not None:
            return self.grid
        rows = store.sql("SELECT DISTINCT grid FROM records WHERE feature = ?", [feature]).fetchall()
        if len(rows) != 1 or rows[0][0] is None:
            raise BadArgument(
                f"the store has {len(rows) if rows and rows[0][0] else 'no'} layouts of the tokens of {feature!r}",
                Hint("give [grid] P+HxW: P class and register tokens, then H rows of W patches"),
            )
        grid = Grid.from_json(rows[0][0])
        if parts.prefix not in (None, grid.prefix):
            raise BadArgument(
                f"{grid.prefix} tokens before the patches of {feature!r}, the head's backbone has {parts.prefix}",
                Hint("give [feature] of the backbone that the head was trained on"),
            )
        return grid


def _feature_after(store: Store, block: int) -> str:
    """Return the one feature of a store whose name ends with the number of a block."""
    named = [name for name in store.features if name.rpartition(".")[2] == str(block)]
    if len(named) != 1:
        raise NotFound(
            f"the head reads the output of block {block}; features that end so: {', '.join(named) or 'none'}",
            Hint("give [feature] for each layer that the head reads, from early to late"),
        )
    return named[0]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
