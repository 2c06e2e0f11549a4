"""The metric of a consumer of features: how much each direction of an error at a token changes its answer."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lamofc_codecs import Rotary, UnsupportedInput
from lamofc_store.errors import BadArgument, Hint, SourceError
from lamofc_store.exporting import atomic_file
from lamofc_tools.consumer.decoder import is_same_rotation

FLOOR = 0.02
"""Share of a matrix's mean diagonal that is added to its diagonal, so that no direction counts nothing."""
_KEY = "model_metric"
_AND = " + "
_MAX_ASYMMETRY = 1e-3
"""Largest difference of entries across the diagonal of a stored matrix, over the largest entry."""


@dataclass(frozen=True, eq=False)
class ModelMetric:
    """The matrices of a consumer, by feature: E[g g'] over tokens, g the gradient of something drawn from its answers.

    For answers that are probabilities it is the log-likelihood of labels that are drawn from them, or, with the same
    square, that of all labels times the roots of their probabilities under random signs. M is then a Fisher matrix:
    half of e' M e, summed over tokens and features, is the Kullback-Leibler divergence in nats that errors e make, to
    second order and as far as errors of different tokens are independent. For other answers it is their sum under
    random signs, each value divided by its deviation. The mean of e' M e over tokens is then the squared change of an
    answer's values, relative to their variance, and there are no nats.
    """

    consumer: str
    """Who reads the features, `MODEL@BLOCK`; several are joined by ` + `."""
    matrices: Mapping[str, Tensor]
    """Channels x channels, float32, on the CPU; of keys, for keys without their rotation."""
    tokens: int
    """Tokens over which the mean is taken."""
    positions: int
    """Answers that these tokens had a part in, as many to prefixes as to continuations; 0 if none has a likelihood."""
    rotary: Mapping[str, Rotary] = field(default_factory=dict)
    """Rotation of the keys that are rotated, by feature."""
    consumer_digest: str | None = None
    """Digest of the consumer's weights, several joined like their names; None in files that know none."""

    def __add__(self, other: ModelMetric) -> ModelMetric:
        """Pool two metrics over all of their tokens; a consumer does not see a feature that it has no matrix for."""
        if (self.nats is None) != (other.nats is None):
            raise BadArgument(
                f"{self.consumer} and {other.consumer}: the answers of one have a likelihood, those of the other none",
                "fit one profile for each of them",
            )
        for name in set(self.matrices) & set(other.matrices):
            if self.matrices[name].shape != other.matrices[name].shape:
                raise BadArgument(
                    f"{name!r} has {len(self.matrices[name])} channels for {self.consumer},"
                    f" and {len(other.matrices[name])} for {other.consumer}",
                    "add metrics of the same features",
                )
        rotary = pooled_rotations([(one.consumer, one.matrices, one.rotary) for one in (self, other)])
        tokens = self.tokens + other.tokens
        names = list(dict.fromkeys([*self.matrices, *other.matrices]))
        parts = [(metric.tokens / tokens, metric.matrices) for metric in (self, other)]
        pooled = {name: sum(share * kept[name].double() for share, kept in parts if name in kept) for name in names}
        consumer, digest = pooled_names([(one.consumer, one.consumer_digest) for one in (self, other)])
        return ModelMetric(
            consumer,
            {name: torch.as_tensor(matrix).float() for name, matrix in pooled.items()},
            tokens,
            self.positions + other.positions,
            rotary,
            digest,
        )

    def scaled(self, factor: float, features: Collection[str]) -> ModelMetric:
        """Return the metric of a consumer that feels errors of some features so many times as much."""
        scaled = {name: matrix * factor if name in features else matrix for name, matrix in self.matrices.items()}
        return replace(self, matrices=scaled)

    @property
    def digest(self) -> str:
        """A digest of everything in the metric, which differs between metrics."""
        digest = hashlib.sha256(f"{self.consumer} {self.consumer_digest} {self.tokens} {self.positions}".encode())
        for name in sorted(self.matrices):
            digest.update(name.encode())
            digest.update(self.matrices[name].contiguous().numpy().tobytes())
            digest.update(repr(self.rotary.get(name)).encode())
        return digest.hexdigest()[:16]

    def weights(self, floor: float = FLOOR) -> dict[str, Tensor]:
        """Return error weights for a fit: the symmetric root of each matrix after `floor` is added to its diagonal."""
        return {name: _root(matrix.double(), floor) for name, matrix in self.matrices.items()}

    @property
    def nats(self) -> float | None:
        """Divergence an answer, in nats, of a unit of weighted squared error of a token; None without likelihood."""
        return self.tokens / (2 * self.positions) if self.positions else None

    def divergence(self, errors: Mapping[str, Tensor]) -> float:
        """Return the divergence in nats an answer that is expected of errors, tokens x channels each, of all tokens."""
        if self.nats is None:
            raise BadArgument(f"the answers of {self.consumer} have no likelihood", "ask for their relative_change")
        return self._weighted(errors) * self.nats

    def relative_change(self, errors: Mapping[str, Tensor]) -> float:
        """Return the mean squared change of an answer's values, relative to their variance, expected of errors."""
        if self.nats is not None:
            raise BadArgument(f"the answers of {self.consumer} are probabilities", "ask for their divergence")
        return self._weighted(errors)

    def _weighted(self, errors: Mapping[str, Tensor]) -> float:
        """Return the mean weighted squared error of a token, summed over features."""
        return sum(
            float(((e.double() @ self.matrices[name].double()) * e).sum()) / len(e) for name, e in errors.items()
        )

    def save(self, path: Path) -> None:
        """Write the metric to one file of safetensors, completely or not at all."""
        rotary = {name: rotation.to_json() for name, rotation in self.rotary.items()}
        about = {"consumer": self.consumer, "tokens": self.tokens, "positions": self.positions, "rotary": rotary}
        about |= {} if self.consumer_digest is None else {"consumer_digest": self.consumer_digest}
        tensors = {name: matrix.contiguous() for name, matrix in self.matrices.items()}
        with atomic_file(path) as out:
            out.write(save(tensors, {_KEY: json.dumps(about)}))

    @classmethod
    def load(cls, path: Path) -> ModelMetric:
        """Read a metric that `save` wrote."""
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})[_KEY])
                matrices = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return cls._of_file(about, matrices)
        except (OSError, SafetensorError, KeyError, ValueError, UnsupportedInput) as error:
            raise SourceError(
                f"{path} holds no metric of a model: {error}", Hint("give a file that [metric] wrote")
            ) from error

    @classmethod
    def _of_file(cls, about: Any, matrices: Mapping[str, Tensor]) -> ModelMetric:
        """Make a metric of what a file holds; ValueError for anything that `save` does not write."""
        told = {"consumer": str, "tokens": int, "positions": int}
        if not isinstance(about, dict) or any(type(about.get(name)) is not kind for name, kind in told.items()):
            raise ValueError(f"its header {str(about)[:80]!r} lacks one of {', '.join(told)}")
        digest, rotations = about.get("consumer_digest"), about.get("rotary", {})  # files of earlier versions lack both
        if not isinstance(rotations, dict):
            raise ValueError(f"its rotary is {str(rotations)[:80]!r}, not one rotation a feature")
        if not about["consumer"] or not matrices:
            raise ValueError(f"{len(matrices)} matrices of {about['consumer']!r}")
        if about["tokens"] <= 0 or about["positions"] < 0 or not isinstance(digest, str | None):
            raise ValueError(f"{about['tokens']} tokens, {about['positions']} answers and the digest {digest!r}")
        for name, matrix in matrices.items():
            _check_square(name, matrix)
        rotary = {name: Rotary.from_json(stored) for name, stored in rotations.items()}
        return cls(about["consumer"], matrices, about["tokens"], about["positions"], rotary, digest)


def _check_square(name: str, matrix: Tensor) -> None:
    """Raise ValueError unless a matrix is one of squares: finite, symmetric, and not negative on its diagonal."""
    shape = tuple(matrix.shape)
    if matrix.dtype != torch.float32 or len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ValueError(f"{name!r} is {matrix.dtype} of {shape}, not a square matrix of float32")
    largest = float(matrix.abs().max())
    if not math.isfinite(largest) or float(matrix.diagonal().min()) < 0:
        raise ValueError(f"{name!r} has values that are not finite, or negative squares")
    if float((matrix - matrix.T).abs().max()) > _MAX_ASYMMETRY * largest:
        raise ValueError(f"{name!r} is not symmetric")


def pooled_rotations(
    consumers: Sequence[tuple[str, Collection[str], Mapping[str, Rotary]]],
) -> dict[str, Rotary]:
    """Join the rotations of consumers, each with its name and its features; BadArgument if a feature has two."""
    found: dict[str, tuple[str, Rotary | None]] = {}
    for consumer, features, rotary in consumers:
        for name in features:
            first, turn = found.setdefault(name, (consumer, rotary.get(name)))
            if not is_same_rotation(turn, rotary.get(name)):
                raise BadArgument(
                    f"{name!r} is rotated otherwise for {first} than for {consumer}",
                    "name consumers that read the same features",
                )
    return {name: turn for name, (_, turn) in found.items() if turn is not None}


def pooled_names(consumers: Sequence[tuple[str, str | None]]) -> tuple[str, str | None]:
    """Return names and digests of several consumers as one name and one digest, each consumer once.

    Where any digest is not known, names alone tell consumers apart, and there is no digest.
    """
    known = all(digest is not None for _, digest in consumers)
    pairs = dict.fromkeys(pair for name, digest in consumers for pair in _apart(name, digest if known else None))
    return _AND.join(name for name, _ in pairs), _AND.join(str(digest) for _, digest in pairs) if known else None


def _apart(name: str, digest: str | None) -> list[tuple[str, str | None]]:
    """Return names and digests that were joined; a name that itself has ` + ` in it stays whole beside its digest."""
    names = name.split(_AND)
    if digest is None:
        return [(part, None) for part in names]
    digests = digest.split(_AND)
    return list(zip(names, digests, strict=True)) if len(names) == len(digests) else [(name, digest)]


def _root(matrix: Tensor, floor: float) -> Tensor:
    mean = matrix.diagonal().mean()
    sizes, vectors = torch.linalg.eigh(matrix + torch.eye(len(matrix), dtype=matrix.dtype) * floor * mean)
    root: Tensor = (vectors * sizes.clamp_min(0).sqrt()) @ vectors.T
    return root
