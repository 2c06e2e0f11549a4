"""Measure the metric of the rest of a language model, without labels: Fisher matrices of its own answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_codecs import Rotary
from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.calibration import MetricCalibration
from lamofc_tools.consumer.decoder import CONTINUATION, PREFIX, Passages, Split, key_rotations
from lamofc_tools.consumer.gradients import Reading, SquareSums, generators_for
from lamofc_tools.consumer.metric import ModelMetric
from lamofc_tools.models import Features, LoadedModel

_FIRST_HELD_OUT, _HELD_OUT_DIVISOR = 7, 4
"""The first text that is held out, and the share of texts from there on."""
_FEWEST_HELD_OUT = 3
"""Texts from which a metric can be calibrated; fewer are learnt from like the others."""


@torch.enable_grad()
def measure_metric(  # noqa: PLR0913 - options are keywords
    loaded: LoadedModel,
    passages: Passages,
    block: int,
    *,
    seed: int = 0,
    batch: int = 1,
    draws: int = 2,
    sink_ratio: float | None = None,
    calibrated: bool = True,
    rotary: Mapping[str, Rotary | None] | None = None,
) -> ModelMetric:
    """Return the metric of the rest of a model after `block`, counted from zero, over the tokens of some prefixes.

    A gradient is that of the log-likelihood of one label at every position of prefix and continuation, drawn from
    the model's own answer; `draws` labels are drawn one after another. 16 to 64 texts are enough. From 16 on, about a
    quarter of them is held out to calibrate the metric by what coding really does to their answers, unless it is to be
    the Fisher matrices alone, of all texts. Caches are felt by the continuation alone, so that their matrices need more
    labels there than they have channels. Continuations count together as much as prefixes, however many positions they
    have. The first token of each text is left out, since others attend to it whatever it is; so are, with `sink_ratio`,
    tokens whose feature after the block is longer than that many times the median token's. Memory is that of one batch
    and of the features of all texts; the result does not depend on the batch, but for the rounding of what a
    calibration codes. `rotary` holds the rotations of keys that are known, None for keys without; others are found.
    """
    if draws < 1 or batch < 1:
        raise BadArgument(f"{draws} labels of {batch} texts at once", "give one or more of each")
    estimate = _Estimate(Split(loaded, block), draws, sink_ratio, rotary)
    for names in passages.batches(batch):
        ids = passages.batch(names)
        samples = estimate.split.features(ids[:, : passages.prefix])
        estimate.add(samples, ids, generators_for(names, seed))
    return estimate.metric(calibrated=calibrated)


@torch.enable_grad()
def measure_metric_of_features(  # noqa: PLR0913 - options are keywords
    loaded: LoadedModel,
    samples: Iterable[tuple[str, Features]],
    block: int,
    *,
    prefix: int = PREFIX,
    continuation: int = CONTINUATION,
    seed: int = 0,
    draws: int = 2,
    sink_ratio: float | None = None,
    rotary: Mapping[str, Rotary | None] | None = None,
) -> ModelMetric:
    """Return the same metric from features at the split, each sample with its id, of texts that need not be there.

    Samples may have any lengths; their first `prefix` tokens count. The model continues each by tokens of its own
    drawing. Samples without caches, of which the hidden state alone is known, are not continued: only answers to
    the prefix count, and only the hidden state has a matrix.
    """
    estimate = _Estimate(Split(loaded, block), draws, sink_ratio, rotary)
    for name, features in samples:
        sample, generator = estimate.split.prefix_of(features, prefix), generators_for([name], seed)[0]
        tokens = sample[loaded.output_name(block)].shape[1]
        if tokens < 2:
            continue
        ids = torch.zeros(1, tokens, dtype=torch.int64, device=loaded.device)
        if len(sample) > 1:
            ids = torch.cat([ids, estimate.split.generate(sample, continuation, [generator]).ids], 1)
        estimate.add([sample], ids, [generator])
    return estimate.metric()


@dataclass(frozen=True)
class _Text:
    """A text of which a metric learns."""

    features: Mapping[str, Tensor]
    """Features of the prefix."""
    ids: Tensor
    """Token ids of prefix and continuation, 1 x tokens."""
    generator: torch.Generator
    """Source of its labels."""

    @property
    def pair(self) -> tuple[Features, Tensor]:
        """The features, without gradients, and the token ids."""
        return {name: value.detach() for name, value in self.features.items()}, self.ids


class _Estimate:
    """The texts that a metric is estimated from: those that it learns, and those that are held out to calibrate it."""

    def __init__(
        self, split: Split, draws: int, sink_ratio: float | None, known: Mapping[str, Rotary | None] | None
    ) -> None:
        self.split, self._draws, self._sink_ratio = split, draws, sink_ratio
        rotations = key_rotations(split.loaded, split.block + 1, known)
        self._rotary = {name: rotary for name, rotary in rotations.items() if rotary is not None}
        self._sums = SquareSums()
        self._learned: list[_Text] = []
        self._held_out: list[_Text] = []
        self._seen = 0
        self._texts = self._tokens = self._answers = 0

    def add(self, samples: Sequence[Mapping[str, Tensor]], ids: Tensor, generators: Sequence[torch.Generator]) -> None:
        """Add texts, given the features of their prefixes and the token ids of prefix and continuation.

        Every fourth text, from the eighth on, is held out.
        """
        texts = [_Text(*text) for text in zip(samples, ids[:, None], generators, strict=True)]
        numbered = list(enumerate(texts, self._seen))
        self._seen += len(texts)
        self._held_out += [text for number, text in numbered if _is_held_out(number)]
        self._learn([text for number, text in numbered if not _is_held_out(number)])

    def _learn(self, texts: Sequence[_Text]) -> None:
        """Add the squares of the gradients of some texts of one length."""
        if not texts:
            return
        ids, generators = torch.cat([text.ids for text in texts]), [text.generator for text in texts]
        features = {name: torch.cat([text.features[name] for text in texts]) for name in texts[0].features}
        output = features[self.split.output]
        kept, prefix = torch.stack([_kept_tokens(row, self._sink_ratio) for row in output]), output.shape[1]
        self._learned += texts
        self._texts += len(texts)
        self._tokens += int(kept.sum())
        self._answers += (1 + (ids.shape[1] > prefix)) * prefix * len(texts)

        def counted(name: str, rows: Tensor) -> Tensor:
            by_text = rows.double().cpu().reshape(*kept.shape, -1)
            return (self._rotary[name].turned(by_text, back=True) if name in self._rotary else by_text)[kept]

        self._sums.add(read_texts(self.split, features, ids, generators, self._draws, counted))

    def _can_calibrate(self) -> bool:
        """Whether enough texts were held out, and all texts have the same features."""
        texts = [*self._learned, *self._held_out]
        alike = all(text.features.keys() == texts[0].features.keys() for text in texts)
        return len(self._held_out) >= _FEWEST_HELD_OUT and alike

    def metric(self, *, calibrated: bool = True) -> ModelMetric:
        """Return the metric of all that was added, calibrated if enough texts were held out."""
        calibrating = self._held_out if calibrated and self._can_calibrate() else []
        for text in () if calibrating else self._held_out:
            self._learn([text])
        if not self._texts:
            raise BadArgument(
                f"no text from which to learn what {self.split.consumer} feels",
                "give samples of two tokens or more, with the keys of each",
            )
        if not self._tokens:
            raise BadArgument(
                f"sink_ratio={self._sink_ratio} leaves no token of {self._texts} texts", "give a larger one"
            )
        means = self._sums.means(self._tokens)
        rotary = {name: turn for name, turn in self._rotary.items() if name in means}
        about = self._tokens, self._answers, rotary, self.split.loaded.digest
        metric = ModelMetric(self.split.consumer, means, *about)
        if not calibrating:
            return metric
        learned, held_out = ([text.pair for text in texts] for texts in (self._learned, calibrating))
        return MetricCalibration(self.split, learned, held_out).calibrated(metric)


def _is_held_out(number: int) -> bool:
    """Whether a text is held out, by its number."""
    return number >= _FIRST_HELD_OUT and number % _HELD_OUT_DIVISOR == _HELD_OUT_DIVISOR - 1


def _kept_tokens(output: Tensor, sink_ratio: float | None) -> Tensor:
    """Return which tokens count: all but the first one and sinks."""
    lengths = output.float().norm(dim=-1).cpu()
    kept = (
        torch.ones(len(lengths), dtype=torch.bool) if sink_ratio is None else lengths <= sink_ratio * lengths.median()
    )
    kept[0] = False
    return kept


def read_texts(
    split: Split,
    features: Mapping[str, Tensor],
    ids: Tensor,
    generators: Sequence[torch.Generator],
    draws: int,
    counted: Callable[[str, Tensor], Tensor] | None = None,
) -> Reading:
    """Run the rest of a model on batched features of the prefixes of texts, and draw labels of its answers.

    `ids` are those of prefixes and continuations, which count together as much as each other; `counted` makes of a
    feature's gradient the rows that count.
    """
    leaves = {name: value.requires_grad_() for name, value in features.items()}
    prefix = features[split.output].shape[1]
    hidden = split.run(ids, prefix, [leaves])
    balance = _balance_of(hidden, prefix)
    by_row = [answer_gradients(split, row, own, draws) for row, own in zip(hidden.detach(), generators, strict=True)]
    drawn = [torch.stack(rows) * balance for rows in zip(*by_row, strict=True)]
    return Reading(leaves, hidden, drawn, split.patterns, counted)


def _balance_of(hidden: Tensor, prefix: int) -> Tensor:
    """Return factors of tokens, tokens x 1, by which continuations count together as much as prefixes."""
    balance = torch.ones(hidden.shape[1], 1, device=hidden.device, dtype=hidden.dtype)
    balance[prefix:] = (prefix / max(1, hidden.shape[1] - prefix)) ** 0.5
    return balance


def answer_gradients(split: Split, hidden: Tensor, generator: torch.Generator, draws: int) -> list[Tensor]:
    """Return for each draw the gradient of the labels' log-likelihood by what the last block leaves at positions."""
    gradients: list[list[Tensor]] = [[] for _ in range(draws)]
    for chunk in split.chunks(hidden):
        leaf = chunk.clone().requires_grad_()
        logs = split.logits(leaf).log_softmax(-1)
        drawn = torch.multinomial(logs.detach().exp().cpu(), draws, replacement=True, generator=generator)
        for found, labels in zip(gradients, drawn.T.to(logs.device), strict=True):
            likelihood = logs.gather(1, labels[:, None]).sum()
            found.append(torch.autograd.grad(likelihood, leaf, retain_graph=True)[0])
    return [torch.cat(parts) for parts in gradients]
