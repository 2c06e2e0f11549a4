"""Nested dicts, lists and tuples of tensors as flat named features, and back, with types and key order as they were.

The JSON is a tree of one-key objects, so that it can be read by eye and nothing is ever unpickled:
`{"tensor": name}`, `{"dict": [[key, node], ...]}`, `{"list": [node, ...]}`, `{"tuple": [node, ...]}`,
`{"value": scalar}`, `{"float": "nan" | "inf" | "-inf"}`, which JSON has no numbers for; `{"size": [...]}`,
`{"dtype": name}` and `{"device": name}` of torch; and `{"stack": [axis, [node, ...]]}`, a tensor kept as several.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from lamofc_store.errors import CorruptStore, NotFound, SourceError
from lamofc_store.sample.sample import Scalar

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Nested: TypeAlias = Any
"""A tensor, or dicts, lists and tuples of tensors and plain values: whatever the user gave."""
Keys: TypeAlias = tuple[str, ...]
"""Keys and numbers that lead to a value, outermost first."""
DEEPEST = 64
"""Levels of nesting; deeper ones are cycles or attacks."""
ENVELOPE = ("features", "metadata")
"""Keys of what a codec's benchmark wrote: features as before, and what was measured, which is told as `codec_...`."""
BARE = "feature"
"""The name of a tensor that came without one."""
_LARGE, _RATIO = 1 << 28, 200
"""A tensor of more bytes than LARGE that repeats fewer, RATIO times, is a trap and no feature."""
_CURE = "give a tensor, or dicts, lists and tuples of tensors and plain values"


def flatten(
    nested: object, where: str = "", name: Callable[[Keys], str] = ".".join, *, ordered: bool = False
) -> tuple[dict[str, torch.Tensor], str | None]:
    """The tensors by dotted path, and the JSON that restores the nesting; None when it is a plain dict of them.

    An error begins with `where`. `name` makes a tensor's name of its path. Keys of a plain dict come back sorted,
    unless it is to be `ordered`: then its JSON is given where they are not.
    """
    features: dict[str, torch.Tensor] = {}
    try:
        node = _Taking(features, name).take(nested, ())
    except SourceError as error:
        raise SourceError(f"{where}: {error.message}" if where else error.message, error.cure) from None
    kept = not ordered or list(features) == sorted(features)
    if kept and node == {"dict": [[name, {"tensor": name}] for name in features]}:
        return features, None
    return features, json.dumps(node, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def restore(tensors: Mapping[str, torch.Tensor], structure: str | None, *, partial: bool = False) -> Nested:
    """The nested object; with `partial`, tensors that are not given are left out of dicts and None in lists."""
    if structure is None:
        return dict(tensors)
    return _build(_parsed(structure), tensors, 0, partial)


def completed(structure: str | None, names: Iterable[str]) -> str | None:
    """The JSON with all those features in it: what a sample was given later has no place in it, and gets one.

    None, which is a flat mapping, where the sample is neither a dict nor one in an envelope.
    """
    if structure is None:
        return None
    root = _parsed(structure)
    told = set(_told(root))
    added = [name for name in names if name not in told]
    if not added:
        return structure
    pairs: Any = root.get("dict") if isinstance(root, dict) else None
    inner = {pair[0]: pair[1] for pair in pairs if _is_pair(pair)} if isinstance(pairs, list) else {}
    if set(inner) == set(ENVELOPE) and isinstance(inner[ENVELOPE[0]], dict):
        pairs = inner[ENVELOPE[0]].get("dict")
    if not isinstance(pairs, list):
        return None
    taken = {pair[0]: None for pair in pairs if _is_pair(pair)}
    for name in added:
        key = _free_name(name, taken)
        taken[key] = None
        pairs.append([key, {"tensor": name}])
    return json.dumps(root, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def merged(before: str, now: str) -> str:
    """The JSON of a sample that is given again, in part or otherwise: keys that it has no longer stay, first."""
    roots = [_parsed(text) for text in (before, now)]
    old, new = (root.get("dict") if isinstance(root, dict) else None for root in roots)
    if not (isinstance(old, list) and isinstance(new, list) and all(map(_is_pair, [*old, *new]))):
        return now
    keys = [pair[0] for pair in new]
    pairs = [pair for pair in old if pair[0] not in keys] + new
    return json.dumps({"dict": pairs}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _told(node: object) -> Iterator[str]:
    """Names of the tensors in a tree."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("tensor"), str):
                yield one["tensor"]
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _parsed(structure: str) -> Any:
    try:
        return json.loads(structure)
    except (ValueError, RecursionError):
        raise _damaged(structure) from None


class _Taking:
    """Nodes of the tree made one by one; tensors go into `features` under the names of their paths."""

    def __init__(self, features: dict[str, torch.Tensor], name: Callable[[Keys], str]) -> None:
        self._features, self._name = features, name

    def take(self, value: object, path: Keys) -> dict[str, Any]:
        """One node."""
        if len(path) > DEEPEST:
            raise SourceError(f"{'.'.join(path[:4])}... is nested deeper than {DEEPEST} levels", _CURE)
        if isinstance(value, Mapping):
            return {"dict": [self._pair(key, item, path) for key, item in value.items()]}
        told = _of_torch(value)
        if told is not None:
            return told
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [self.take(item, (*path, str(index))) for index, item in enumerate(value)]}
        if is_plain(value):
            number = plain(value)
            odd = isinstance(number, float) and not math.isfinite(number)
            return {"float": str(number)} if odd else {"value": number}
        name = _free_name((self._name(path) if path else "") or BARE, self._features)
        self._features[name] = tensor_of(value, _where(path))
        return {"tensor": name}

    def _pair(self, key: object, item: object, path: Keys) -> list[Any]:
        if key is not None and type(key) not in (str, int, bool):
            raise SourceError(f"{_where(path)} has a key {key!r} of type {type(key).__name__}", "use texts as keys")
        return [key, self.take(item, (*path, str(key)))]


def _of_torch(value: object) -> dict[str, Any] | None:
    """What torch tells of tensors besides their values."""
    import torch

    if isinstance(value, torch.Size):
        return {"size": list(value)}
    if isinstance(value, torch.dtype | torch.device):
        return {"dtype" if isinstance(value, torch.dtype) else "device": str(value).removeprefix("torch.")}
    return None


def tensor_of(value: object, where: str) -> torch.Tensor:
    """A dense tensor from a tensor or a NumPy array; SourceError names `where` for anything else."""
    import numpy as np
    import torch

    if isinstance(value, np.ndarray):
        return _from_numpy(value, where)
    if not isinstance(value, torch.Tensor):
        raise SourceError(f"{where} is of type {type(value).__module__}.{type(value).__qualname__}", _CURE)
    if value.layout != torch.strided or value.is_quantized or value.is_nested or value.is_meta:
        raise SourceError(f"{where} is a tensor of layout {value.layout}, {value.dtype}", "make it dense: .to_dense()")
    if str(value.dtype).startswith(("torch.bits", "torch.float4")):
        raise SourceError(f"{where} is of {value.dtype}", "store it in a common dtype: .to(torch.float32)")
    held = value.untyped_storage().nbytes()
    if value.nbytes > max(_LARGE, _RATIO * held):
        raise SourceError(f"{where} repeats {held} bytes to {value.nbytes}", "store it once: .contiguous() if meant")
    return value.detach().resolve_conj().resolve_neg()


def _from_numpy(array: NDArray[Any], where: str) -> torch.Tensor:
    """Share memory when NumPy lets us write to it; copy when it is read-only or foreign-endian."""
    import numpy as np
    import torch

    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 16 or array.dtype == np.longdouble:
        raise SourceError(
            f"{where} is an array of dtype {array.dtype.str} {array.dtype}",
            "store numbers; bfloat16 has no NumPy type: save it as .safetensors or .pt",
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
    return torch.from_numpy(np.ascontiguousarray(native).reshape(array.shape))


def is_plain(value: object) -> bool:
    """Texts, numbers, booleans and None, also as enums or as NumPy's scalars, which datasets give for labels."""
    import numpy as np

    return value is None or isinstance(value, str | int | float | np.bool_ | np.integer | np.floating)


def plain(value: Any) -> Scalar:
    """The Python value that a plain one equals."""
    import numpy as np

    value = value.item() if isinstance(value, np.generic) else value
    if value is None or type(value) is bool:
        return value
    return next(kind(value) for kind in (str, int, float) if isinstance(value, kind))


def _free_name(name: str, features: Mapping[str, object]) -> str:
    """`a.b` of {"a.b": ...} and of {"a": {"b": ...}} may meet in one object; the later one is numbered."""
    if name not in features:
        return name
    return next(f"{name}~{n}" for n in range(2, len(features) + 3) if f"{name}~{n}" not in features)


def _where(path: tuple[str, ...]) -> str:
    return f"value {'.'.join(path)!r}" if path else "the value"


def _build(node: object, tensors: Mapping[str, torch.Tensor], depth: int, partial: bool) -> Nested:
    """One node back; a node of any other form is damage."""
    if not isinstance(node, dict) or len(node) != 1 or depth > DEEPEST + 1:
        raise _damaged(node)
    ((kind, body),) = node.items()
    if kind == "tensor" and isinstance(body, str):
        if body not in tensors and not partial:
            raise NotFound(f"the structure needs feature {body!r}, here are {sorted(tensors)[:8]}", "read all features")
        return tensors.get(body)
    if kind == "value" and (body is None or isinstance(body, str | int | float)):
        return body
    if kind == "float" and body in ("nan", "inf", "-inf"):
        return float(body)
    if kind in ("size", "dtype", "device", "stack"):
        return _torch_built(kind, body, tensors, depth, partial)
    if kind in ("list", "tuple") and isinstance(body, list):
        items = [_build(item, tensors, depth + 1, partial) for item in body]
        return items if kind == "list" else tuple(items)
    if kind == "dict" and isinstance(body, list) and all(_is_pair(pair) for pair in body):
        kept = [pair for pair in body if not (partial and _is_absent(pair[1], tensors))]
        return {key: _build(item, tensors, depth + 1, partial) for key, item in kept}
    raise _damaged(node)


def _torch_built(kind: str, body: Any, tensors: Mapping[str, torch.Tensor], depth: int, partial: bool) -> Nested:
    """A size, a dtype, a device, or tensors stacked along an axis; None in place of a stack that is not all there."""
    import torch

    try:
        if kind == "stack":
            axis, nodes = body
            pieces = [_build(node, tensors, depth + 1, partial) for node in nodes]
            return None if any(piece is None for piece in pieces) else torch.stack(pieces, dim=axis)
        if kind == "size":
            return torch.Size(body)
        found = getattr(torch, str(body)) if kind == "dtype" else torch.device(body)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, OverflowError):
        raise _damaged({kind: body}) from None
    if kind == "dtype" and not isinstance(found, torch.dtype):
        raise _damaged({kind: body})
    return found


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and (pair[0] is None or isinstance(pair[0], str | int))


def _is_absent(node: object, tensors: Mapping[str, torch.Tensor]) -> bool:
    return isinstance(node, dict) and "tensor" in node and node["tensor"] not in tensors


def _damaged(node: object) -> CorruptStore:
    return CorruptStore(f"{str(node)[:80]!r} is no structure of a sample", "run `lamofc verify` on the store")
