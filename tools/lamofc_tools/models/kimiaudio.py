"""Record hidden states, keys and values after the first layers of Kimi-Audio, and substitute stored ones for them.

The model is not part of transformers. The authors' package loads it with two tokenizers of sounds and a vocoder, and
prepares the inputs. Only the language model of a loaded KimiAudio, `alm`, is needed here. Each of its layers returns a
tuple: hidden states first, keys and values last.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from lamofc_tools.models.substitution import Features, replaced_forward, require_feature


@contextmanager
def record_kimiaudio(alm: Any, layers: int = 5) -> Iterator[dict[str, Any]]:
    """Record the next pass of `alm` in a mapping, nested like the published files.

    `of_family` makes a sample of the mapping.
    """
    payload: dict[str, Any] = {}

    def hook_of(number: int) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            caches = tuple(tensor.detach().cpu().clone() for tensor in output[-1])
            entry = caches if number < layers - 1 else (output[0].detach().cpu().clone(), caches)
            payload.setdefault(f"model.layers.{number}", entry)  # later calls are of generated tokens

        return hook

    with ExitStack() as stack:
        for number, module in enumerate(alm.model.layers[:layers]):
            stack.enter_context(module.register_forward_hook(hook_of(number)))
        yield payload


@contextmanager
def substitute_kimiaudio(alm: Any, features: Features, layers: int = 5) -> Iterator[None]:
    """Make the next pass of `alm` within the context start after its first layers, on the stored features.

    Tokens that are generated afterwards go through every layer.
    """
    with ExitStack() as stack:
        for number, module in enumerate(alm.model.layers[:layers]):
            caches = tuple(require_feature(features, f"layer.{number}.{name}_cache") for name in "kv")
            output = require_feature(features, f"layer.{number}.output") if number == layers - 1 else None
            stack.enter_context(replaced_forward(module, _substitute_once(module.forward, output, caches)))
        yield


def _substitute_once(
    original: Callable[..., Any], output: Tensor | None, caches: tuple[Tensor, ...]
) -> Callable[..., Any]:
    """Return a forward that returns stored tensors in its first call and calls the original one afterwards."""
    passed = False

    def forward(hidden: Tensor, *arguments: Any, **options: Any) -> Any:
        nonlocal passed
        if passed:
            return original(hidden, *arguments, **options)
        passed = True
        result = hidden if output is None else output.to(hidden.device)
        return result, tuple(tensor.to(hidden.device) for tensor in caches)

    return forward
