"""Texts cut to one length: a prefix, whose features are coded, and the tokens that continue it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.consumer.decoder.split import token_ids
from lamofc_tools.models import LoadedModel, ModelInput

PREFIX = 192
"""Tokens of a text whose features are coded, unless another number is given."""
CONTINUATION = 48
"""Tokens after the prefix that read its caches, unless another number is given."""
TEXTS = 32
"""Texts on which a metric is measured, unless another number is given; 16 to 64 are enough."""
_FEWEST_TEXTS, _FEWEST_TOKENS = 8, 32
"""Texts below which no metric is measured, and tokens that so many of them must have."""


@dataclass(frozen=True)
class Passages:
    """Token ids of texts of one length: a prefix, whose features are coded, and the tokens after it."""

    ids: Mapping[str, Tensor]
    """The token ids of each text, by its id."""
    prefix: int
    """Number of tokens of the prefix."""

    @property
    def length(self) -> int:
        """Number of tokens of prefix and continuation."""
        return len(next(iter(self.ids.values())))

    def first(self, count: int) -> Passages:
        """Return the first texts."""
        return Passages(dict(list(self.ids.items())[:count]), self.prefix)

    def batches(self, size: int) -> Iterator[list[str]]:
        """Yield the ids of texts that go through the model together."""
        names = list(self.ids)
        return (names[start : start + size] for start in range(0, len(names), size))

    def batch(self, names: Sequence[str]) -> Tensor:
        """Return the token ids of some texts, texts x tokens."""
        return torch.stack([self.ids[name] for name in names])


def cut_passages(
    loaded: LoadedModel, texts: Sequence[ModelInput], prefix: int = PREFIX, continuation: int = CONTINUATION
) -> Passages:
    """Cut texts to a prefix and its continuation, by the model's tokens; shorter texts are left out."""
    if prefix < 2 or continuation < 2:
        raise BadArgument(f"a prefix of {prefix} tokens and {continuation} after it", "give two or more of each")
    if loaded.kind.cache is None:
        raise BadArgument(f"{loaded.name} is a {loaded.config.model_type}, which reads no texts", "give a decoder")
    if twice := [name for name, times in Counter(text.id for text in texts).items() if times > 1]:
        raise BadArgument(f"{len(twice)} ids are those of several texts, such as {twice[0]!r}", "give each its own id")
    length = prefix + continuation
    rows = {text.id: token_ids(loaded, text.text) for text in texts}
    ids = {name: row[:length] for name, row in rows.items() if len(row) >= length}
    if not ids:
        longest = max(map(len, rows.values()), default=0)
        raise BadArgument(f"no text of {length} tokens: the longest of {len(rows)} has {longest}", "give longer texts")
    return Passages(ids, prefix)


class TooFewTexts(BadArgument):
    """Texts that are too few, or too short, to tell what a model feels."""


def usual_passages(loaded: LoadedModel, texts: Sequence[ModelInput], count: int = TEXTS) -> Passages:
    """Cut at most `count` texts of any lengths to one length, which three quarters of those that are long enough have.

    Prefix and continuation are as long as usual, or shortened alike; a window holds the prefix. TooFewTexts if few of
    the first texts are long enough.
    """
    tried = texts[: count + count // 3]
    lengths = {text.id: loaded.length(text) for text in tried}
    enough = sorted((length for length in lengths.values() if length >= _FEWEST_TOKENS), reverse=True)
    if len(enough) < _FEWEST_TEXTS:
        raise TooFewTexts(
            f"{len(enough)} texts of {_FEWEST_TOKENS} tokens or more (of {len(tried)}, the longest of"
            f" {max(lengths.values(), default=0)}) tell too little of what {loaded.name} feels",
            Hint(f"give {_FEWEST_TEXTS} texts or more of at least {_FEWEST_TOKENS} tokens, or a known [metric]"),
        )
    length = min(PREFIX + CONTINUATION, enough[max(_FEWEST_TEXTS, len(enough) * 3 // 4) - 1])
    window = getattr(loaded.config, "sliding_window", None) or PREFIX + 1
    prefix = min(length * PREFIX // (PREFIX + CONTINUATION), window - 1)
    long = [text for text in tried if lengths[text.id] >= length]
    return cut_passages(loaded, long[:count], prefix, length - prefix)
