"""Nested dicts, lists and tuples of tensors as flat named features, and back, with types and key order as they were.

The JSON is a tree of one-key objects. It can be read by eye, and reading it runs no code, unlike a pickle:
`{"tensor": name}`, `{"dict": [[key, node], ...]}`, `{"list": [node, ...]}`, `{"tuple": [node, ...]}`,
`{"value": scalar}`, `{"float": "nan" | "inf" | "-inf"}`, which JSON has no numbers for; `{"size": [...]}`,
`{"dtype": name}` and `{"device": name}` of torch; and `{"stack": [axis, [node, ...]]}`, a tensor stored as several.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from lamofc_store.errors import CorruptStore, NotFound, SourceError
from lamofc_store.sample.sample import Scalar
from lamofc_store.sample.tensors import CONTENT_HINT, as_tensor

if TYPE_CHECKING:
    import torch

Nested: TypeAlias = Any
"""A tensor, or dicts, lists and tuples of tensors and scalars."""
Keys: TypeAlias = tuple[str, ...]
"""Keys and indices that lead to a value, outermost first."""
MAX_DEPTH = 64
"""Levels of nesting; a deeper value is a cycle or an attack."""
ENVELOPE_KEYS = ("features", "metadata")
"""Keys of a file that LaMoFCBench's codec wrote: the features, and the figures that it measured."""
UNNAMED_FEATURE = "feature"
"""Name of a tensor without a name: one that stands alone, or under the key `""`."""


def flatten(
    nested: object, where: str = "", name: Callable[[Keys], str] = ".".join, *, ordered: bool = False
) -> tuple[dict[str, torch.Tensor], str | None]:
    """Flatten nested tensors to features by dotted path, and the JSON that restores the nesting.

    The JSON is None for a plain dict of tensors, whose keys come back sorted; with `ordered`, only where they are
    sorted already. `name` makes a feature's name of its path. An error begins with `where`.
    """
    features: dict[str, torch.Tensor] = {}
    try:
        root = _TreeBuilder(features, name).node(nested, ())
    except SourceError as error:
        raise SourceError(f"{where}: {error.message}" if where else error.message, error.cure) from None
    order_is_implied = not ordered or list(features) == sorted(features)
    if order_is_implied and root == {"dict": [[key, {"tensor": key}] for key in features]}:
        return features, None
    return features, _to_json(root)


def restore(tensors: Mapping[str, torch.Tensor], structure: str | None, *, partial: bool = False) -> Nested:
    """Nest tensors as they were; with `partial`, missing ones are left out of dicts and are None in lists."""
    if structure is None:
        return dict(tensors)
    return _build(_parse(structure), tensors, 0, partial)


def add_features(structure: str | None, names: Iterable[str]) -> str | None:
    """Add the features that the JSON does not name: those that a sample got in later ingests.

    None, which is a flat mapping, where the outermost value is no dict.
    """
    if structure is None:
        return None
    root = _parse(structure)
    present = dict(_tensor_paths(root))
    missing = [name for name in names if name not in present]
    if not missing:
        return structure
    pairs: Any = root.get("dict") if isinstance(root, dict) else None
    inner = {pair[0]: pair[1] for pair in pairs if _is_pair(pair)} if isinstance(pairs, list) else {}
    if set(inner) == set(ENVELOPE_KEYS) and isinstance(inner[ENVELOPE_KEYS[0]], dict):
        pairs = inner[ENVELOPE_KEYS[0]].get("dict")
    if not isinstance(pairs, list):
        return None
    keys = {pair[0]: None for pair in pairs if _is_pair(pair)}
    for name in missing:
        key = _free_name(name, keys)
        keys[key] = None
        pairs.append([key, {"tensor": name}])
    return _to_json(root)


def tensor_paths(structure: str) -> dict[str, Keys]:
    """Return the keys and indices under which each tensor is nested, by the tensor's name."""
    return dict(_tensor_paths(_parse(structure)))


def merge_structures(before: str, now: str) -> str:
    """Merge the JSON of a sample that is ingested again: the new one, after the keys that only the old one has."""
    roots = [_parse(text) for text in (before, now)]
    old, new = (root.get("dict") if isinstance(root, dict) else None for root in roots)
    if not (isinstance(old, list) and isinstance(new, list) and all(map(_is_pair, [*old, *new]))):
        return now
    keys = [pair[0] for pair in new]
    return _to_json({"dict": [pair for pair in old if pair[0] not in keys] + new})


def is_scalar(value: object) -> bool:
    """Return whether a value is a text, a number, a boolean or None, also as an enum or a scalar of NumPy."""
    import numpy as np

    return value is None or isinstance(value, str | int | float | np.bool_ | np.integer | np.floating)


def to_scalar(value: Any) -> Scalar:
    """Convert a scalar to the Python value that it equals."""
    import numpy as np

    value = value.item() if isinstance(value, np.generic) else value
    if value is None or type(value) is bool:
        return value
    return next(plain(value) for plain in (str, int, float) if isinstance(value, plain))


def _tensor_paths(root: object) -> Iterator[tuple[str, Keys]]:
    """Yield the tensors in a tree with their paths; a node of no known form leads to none."""
    stack: list[tuple[Any, Keys]] = [(root, ())]
    while stack:
        node, path = stack.pop()
        tag, body = next(iter(node.items())) if isinstance(node, dict) and len(node) == 1 else ("", None)
        if tag == "tensor" and isinstance(body, str):
            yield body, path
        elif tag == "dict" and isinstance(body, list):
            stack += [(pair[1], (*path, str(pair[0]))) for pair in body if _is_pair(pair)]
        elif tag in ("list", "tuple", "stack") and isinstance(body, list):
            items = body[-1] if tag == "stack" and body and isinstance(body[-1], list) else body
            stack += [(item, (*path, str(index))) for index, item in enumerate(items)]


def _parse(structure: str) -> Any:
    try:
        return json.loads(structure)
    except (ValueError, RecursionError):
        raise _damaged(structure) from None


def _to_json(node: object) -> str:
    return json.dumps(node, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class _TreeBuilder:
    """Builds the nodes of a tree; tensors go into `features` under the names of their paths."""

    def __init__(self, features: dict[str, torch.Tensor], name: Callable[[Keys], str]) -> None:
        self._features, self._name = features, name

    def node(self, value: object, path: Keys) -> dict[str, Any]:
        """Build the node of a value and of everything in it."""
        if len(path) > MAX_DEPTH:
            raise SourceError(f"{'.'.join(path[:4])}... is nested deeper than {MAX_DEPTH} levels", CONTENT_HINT)
        if isinstance(value, Mapping):
            return {"dict": [self._pair(key, item, path) for key, item in value.items()]}
        torch_node = _torch_node(value)
        if torch_node is not None:
            return torch_node
        if isinstance(value, list | tuple):
            tag = "list" if isinstance(value, list) else "tuple"
            return {tag: [self.node(item, (*path, str(index))) for index, item in enumerate(value)]}
        if is_scalar(value):
            scalar = to_scalar(value)
            has_no_json = isinstance(scalar, float) and not math.isfinite(scalar)
            return {"float": str(scalar)} if has_no_json else {"value": scalar}
        name = _free_name((self._name(path) if path else "") or UNNAMED_FEATURE, self._features)
        self._features[name] = as_tensor(value, _place(path))
        return {"tensor": name}

    def _pair(self, key: object, item: object, path: Keys) -> list[Any]:
        if key is not None and type(key) not in (str, int, bool):
            raise SourceError(f"{_place(path)} has a key {key!r} of type {type(key).__name__}", "use texts as keys")
        return [key, self.node(item, (*path, str(key)))]


def _torch_node(value: object) -> dict[str, Any] | None:
    """Return the node of a size, a dtype or a device; None for any other value."""
    import torch

    if isinstance(value, torch.Size):
        return {"size": list(value)}
    if isinstance(value, torch.dtype | torch.device):
        return {"dtype" if isinstance(value, torch.dtype) else "device": str(value).removeprefix("torch.")}
    return None


def _free_name(name: str, names: Mapping[str, object]) -> str:
    """Number a name that is taken: {"a.b": ..., "a": {"b": ...}} has the path `a.b` twice."""
    if name not in names:
        return name
    return next(f"{name}~{n}" for n in range(2, len(names) + 3) if f"{name}~{n}" not in names)


def _place(path: Keys) -> str:
    return f"value {'.'.join(path)!r}" if path else "the value"


def _build(node: object, tensors: Mapping[str, torch.Tensor], depth: int, partial: bool) -> Nested:
    """Build the value of a node; CorruptStore for a node of any other form."""
    if not isinstance(node, dict) or len(node) != 1 or depth > MAX_DEPTH + 1:
        raise _damaged(node)
    ((tag, body),) = node.items()
    if tag == "tensor" and isinstance(body, str):
        if body not in tensors and not partial:
            raise NotFound(f"the structure needs feature {body!r}, here are {sorted(tensors)[:8]}", "read all features")
        return tensors.get(body)
    if tag == "value" and (body is None or isinstance(body, str | int | float)):
        return body
    if tag == "float" and body in ("nan", "inf", "-inf"):
        return float(body)
    if tag in ("size", "dtype", "device", "stack"):
        return _build_torch(tag, body, tensors, depth, partial)
    if tag in ("list", "tuple") and isinstance(body, list):
        items = [_build(item, tensors, depth + 1, partial) for item in body]
        return items if tag == "list" else tuple(items)
    if tag == "dict" and isinstance(body, list) and all(_is_pair(pair) for pair in body):
        pairs = [pair for pair in body if not (partial and _is_missing(pair[1], tensors))]
        return {key: _build(item, tensors, depth + 1, partial) for key, item in pairs}
    raise _damaged(node)


def _build_torch(tag: str, body: Any, tensors: Mapping[str, torch.Tensor], depth: int, partial: bool) -> Nested:
    """Build a size, a dtype, a device, or a stack of tensors; None for a stack with missing tensors."""
    import torch

    try:
        if tag == "stack":
            axis, nodes = body
            pieces = [_build(node, tensors, depth + 1, partial) for node in nodes]
            return None if any(piece is None for piece in pieces) else torch.stack(pieces, dim=axis)
        if tag == "size":
            return torch.Size(body)
        value = getattr(torch, str(body)) if tag == "dtype" else torch.device(body)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, OverflowError):
        raise _damaged({tag: body}) from None
    if tag == "dtype" and not isinstance(value, torch.dtype):
        raise _damaged({tag: body})
    return value


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and (pair[0] is None or isinstance(pair[0], str | int))


def _is_missing(node: object, tensors: Mapping[str, torch.Tensor]) -> bool:
    return isinstance(node, dict) and "tensor" in node and node["tensor"] not in tensors


def _damaged(node: object) -> CorruptStore:
    return CorruptStore(f"{str(node)[:80]!r} is no structure of a sample", "run `lamofc verify` on the store")
