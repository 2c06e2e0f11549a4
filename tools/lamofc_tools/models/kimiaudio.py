"""Kimi-Audio: hidden states, keys and values behind its first layers, taken out and put back.

Its code is not in transformers: a model, two tokenizers of sounds and a vocoder that its authors' package loads. All
that is needed of it is `alm`, the language model of a loaded KimiAudio, whose layers answer with a tuple: hidden states
first, keys and values last. How sounds become its inputs stays with that package.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from lamofc_tools.models.substitution import Features, replaced_forward, require_feature


@contextmanager
def hearing(alm: Any, layers: int = 5) -> Iterator[dict[str, Any]]:
    """Within it, the next pass of `alm` fills this object: as files hold it, and `of_family` takes it."""
    payload: dict[str, Any] = {}

    def hook(number: int) -> Callable[..., None]:
        def keep(module: nn.Module, arguments: Any, output: Any) -> None:
            caches = tuple(one.detach().cpu().clone() for one in output[-1])
            told = caches if number < layers - 1 else (output[0].detach().cpu().clone(), caches)
            payload.setdefault(f"model.layers.{number}", told)

        return keep

    with ExitStack() as stack:
        for number, module in enumerate(alm.model.layers[:layers]):
            stack.enter_context(module.register_forward_hook(hook(number)))
        yield payload


@contextmanager
def reheard(alm: Any, features: Features, layers: int = 5) -> Iterator[None]:
    """Within it, the next pass of `alm` runs from behind those layers, on what a store gave back of them.

    Tokens that are generated afterwards go through every layer.
    """
    with ExitStack() as stack:
        for number, module in enumerate(alm.model.layers[:layers]):
            caches = tuple(require_feature(features, f"layer.{number}.{kind}_cache") for kind in "kv")
            last = require_feature(features, f"layer.{number}.output") if number == layers - 1 else None
            stack.enter_context(replaced_forward(module, _once(module.forward, last, caches)))
        yield


def _once(original: Callable[..., Any], hidden: Tensor | None, caches: tuple[Tensor, ...]) -> Callable[..., Any]:
    """A layer that passes on what it is given, or what was stored, and goes on as it was."""
    passed = False

    def forward(given: Tensor, *arguments: Any, **options: Any) -> Any:
        nonlocal passed
        if passed:
            return original(given, *arguments, **options)
        passed = True
        answer = given if hidden is None else hidden.to(given.device)
        return answer, tuple(one.to(given.device) for one in caches)

    return forward
