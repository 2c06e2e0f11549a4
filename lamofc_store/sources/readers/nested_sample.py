"""A sample from tensors nested in dicts, lists and tuples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lamofc_store.errors import SourceError
from lamofc_store.sample import RESERVED_COLUMNS, Keys, Sample, Scalar, flatten, is_scalar, to_scalar
from lamofc_store.sources.contract import FeatureFilter


def attributes_of(nested: object, prefix: str = "") -> dict[str, Scalar]:
    """Return the scalar values of the outermost dict; one with the name of a store's own column becomes `my_...`."""
    outermost = nested if isinstance(nested, Mapping) else {}
    scalars = {
        f"{prefix}{key}": to_scalar(value)
        for key, value in outermost.items()
        if isinstance(key, str) and is_scalar(value)
    }
    return {f"my_{key}" if key in RESERVED_COLUMNS else key: value for key, value in scalars.items()}


def sample_of(
    name: str,
    nested: object,
    features: FeatureFilter,
    where: str = "",
    *,
    name_of: Callable[[Keys], str] = ".".join,
    ordered: bool = False,
) -> Sample:
    """Make a sample of nested tensors; scalar values of the outermost dict become attributes as well.

    `name_of` names a tensor by its path; `ordered` is as for `structure.flatten`.
    """
    where = where or f"sample {name!r}"
    tensors, structure = flatten(nested, where, name_of, ordered=ordered)
    if not tensors:
        raise SourceError(f"{where} holds no tensor", "give tensors under names: {'layer.0': tensor}")
    picked = features.pick(tensors, where)
    return Sample(name, picked, attributes_of(nested), structure if len(picked) == len(tensors) else None)
