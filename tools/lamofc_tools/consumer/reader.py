"""A consumer as a fit meets it: a name, the features that it reads, and a metric that is measured when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from operator import add
from pathlib import Path
from typing import Any

from torch import Tensor

from lamofc_codecs import Quality, Rotary
from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sources import Source
from lamofc_tools.consumer.answers import Replay, SharedReplay
from lamofc_tools.consumer.decoder import TEXTS, Split, TooFewTexts, is_same_rotation, key_rotations, usual_passages
from lamofc_tools.consumer.fisher import measure_metric, measure_metric_of_features
from lamofc_tools.consumer.measuring import measure_consumer
from lamofc_tools.consumer.media import EncoderReplay, EncoderSplit
from lamofc_tools.consumer.metric import ModelMetric, pooled_names, pooled_rotations
from lamofc_tools.consumer.replay import TextReplay
from lamofc_tools.consumer.state_space import measure_state_space, split_decoder
from lamofc_tools.consumer.whole_samples import at_most, whole_samples
from lamofc_tools.models import STATE_SPACE, LoadedModel, ModelInput

Rotations = Mapping[str, Rotary | None]
"""Rotation of each feature of keys; None for keys that are not rotated."""
USUAL_KL = Quality(kl=0.05)
"""Quality for a consumer where none is named: nats an answer."""
_CACHES = ("k_cache", "v_cache")
"""Ends of the names of keys and values, which only models with attention keep, and so attention sinks."""
_NATS = 0.5
"""Divergence of a unit of weighted squared error of a token, to which the weights are scaled."""


@dataclass(frozen=True)
class Consumer:
    """A reader of features, whose metric is measured when a fit first asks for its weights."""

    name: str
    """`MODEL@BLOCK`; several are joined by ` + `."""
    channels: Mapping[str, int]
    """Channels of each feature that it reads."""
    rotary: Mapping[str, Rotary]
    """Rotation of the keys among them that are rotated."""
    learned_from: str
    """Describes what the metric is measured on; empty where it is known."""
    measure: Callable[[], ModelMetric]
    has_likelihood: bool = True
    """Whether its answers are probabilities, so that errors are known in nats."""
    digest: str | None = None
    """Digest of its weights, several joined like their names; None where it is not known."""
    replay: Replay | None = None
    """Measures the divergence of its answers to decoded features; None where the model is not at hand, or its answers
    have no likelihood."""
    lack: BadArgument | None = None
    """The error of its measurement, where it is known beforehand that there will be one."""

    @classmethod
    def of_metric(cls, metric: ModelMetric) -> Consumer:
        """Return the consumer of a metric that is known."""
        channels = {name: len(matrix) for name, matrix in metric.matrices.items()}
        has_likelihood = metric.nats is not None
        return cls(metric.consumer, channels, metric.rotary, "", lambda: metric, has_likelihood, metric.consumer_digest)

    @classmethod
    def of_inputs(
        cls,
        loaded: LoadedModel,
        block: int,
        items: Sequence[ModelInput],
        count: int = TEXTS,
        rotary: Rotations | None = None,
    ) -> Consumer:
        """Return the rest of a model of any kind after a block, given its inputs: for an encoder, those of all samples.

        The metric is measured on at most `count` of them. `rotary` is that of `of_texts`.
        """
        if not items:
            raise BadArgument(f"no inputs for {loaded.name}", "give those whose features are coded")
        if loaded.kind.cache is not None:
            return cls.of_texts(loaded, block, items, count, rotary)
        split, measured = EncoderSplit(loaded, block), items[:count]
        return cls(
            split.consumer,
            split.channels(items[0]),
            {},
            f"{len(measured)} {loaded.kind.inputs}",
            lambda: measure_consumer(loaded, measured, block),
            loaded.has_head,
            loaded.digest,
            EncoderReplay(split, {item.id: item for item in items}) if loaded.has_head else None,
        )

    @classmethod
    def of_texts(
        cls,
        loaded: LoadedModel,
        block: int,
        texts: Sequence[ModelInput],
        count: int = TEXTS,
        rotary: Rotations | None = None,
    ) -> Consumer:
        """Return the rest of a model after a block, which reads texts; it has a `lack` if these are too few or short.

        `rotary` holds the rotations of keys that are known, None for keys without; others are found.
        """
        split, by_states = split_decoder(loaded, block), loaded.kind.cache is STATE_SPACE
        rotations = {} if by_states else key_rotations(loaded, block + 1, rotary)
        cut = cache(lambda: usual_passages(loaded, texts, count))
        try:
            evidence, lack = f"{len(cut().ids)} texts of {cut().length} tokens", None
        except TooFewTexts as error:
            evidence, lack = "", error
        if by_states:
            rest = cls._rest(split, {}, evidence, lambda: measure_state_space(loaded, cut(), block))
        else:
            rest = cls._rest(split, rotations, evidence, lambda: measure_metric(loaded, cut(), block, rotary=rotations))
        return replace(rest, lack=lack)

    @classmethod
    def of_features(
        cls, loaded: LoadedModel, block: int, source: Source, count: int = TEXTS, rotary: Rotations | None = None
    ) -> Consumer:
        """Return the rest of a language model after a block, which reads the features of a source there.

        A metric is measured of models with attention alone, on samples with all of their tokens; `rotary` is that of
        `of_texts`.
        """
        if loaded.kind.cache is None:
            raise _needs_inputs(loaded)
        split = split_decoder(loaded, block)
        rotations = {} if loaded.kind.cache is STATE_SPACE else key_rotations(loaded, block + 1, rotary)

        def measure() -> ModelMetric:
            if loaded.kind.cache is STATE_SPACE:
                raise _needs_inputs(loaded)
            return measure_metric_of_features(loaded, whole_samples(split, source, count), block, rotary=rotations)

        return cls._rest(split, rotations, f"{at_most(count, source)} samples", measure)

    @classmethod
    def _rest(
        cls, split: Split, rotations: Rotations, learned_from: str, measure: Callable[[], ModelMetric]
    ) -> Consumer:
        rotary = {name: turn for name, turn in rotations.items() if turn is not None}
        return cls(
            split.consumer,
            split.channels,
            rotary,
            learned_from,
            measure,
            digest=split.loaded.digest,
            replay=TextReplay(split),
        )

    @classmethod
    def pooled(cls, consumers: Sequence[Consumer]) -> Consumer:
        """Return several consumers as one, which feels what any of them does; BadArgument for none."""
        if not consumers:
            raise BadArgument("no consumer is named", "name one or more, as MODEL@BLOCK")
        if len(consumers) == 1:
            return consumers[0]
        name, digest = pooled_names([(consumer.name, consumer.digest) for consumer in consumers])
        channels = {name: count for consumer in consumers for name, count in consumer.channels.items()}
        rotary = pooled_rotations([(consumer.name, consumer.channels, consumer.rotary) for consumer in consumers])
        replays = [consumer.replay for consumer in consumers if consumer.replay is not None]
        evidence = "; ".join(dict.fromkeys(consumer.learned_from for consumer in consumers if consumer.learned_from))
        return cls(
            name,
            channels,
            rotary,
            evidence,
            lambda: reduce(add, [one.measure() for one in consumers]),
            all(consumer.has_likelihood for consumer in consumers),
            digest,
            SharedReplay(replays) if len(replays) == len(consumers) else None,
            next((consumer.lack for consumer in consumers if consumer.lack is not None), None),
        )

    def replayed(self) -> Replay:
        """Return the replay of its answers; BadArgument where there is none."""
        if self.replay is None:
            reason = "a metric in a file has no model" if self.has_likelihood else "they have no likelihood"
            raise BadArgument(
                f"the answers of {self.name} cannot be replayed: {reason}",
                "name models whose answers are probabilities, each with its block",
            )
        return self.replay

    def announced(self, note: Callable[[str], None]) -> Consumer:
        """Return the consumer with a note of each measurement that begins."""

        def measure() -> ModelMetric:
            if self.learned_from:
                note(f"measuring what {self.name} feels: {self.learned_from}")
            return self.measure()

        return replace(self, measure=measure)

    def kept_in(self, path: Path) -> Consumer:
        """Return the consumer with the metric in a file; without such a file, one is written after the measurement."""
        if path.is_file():
            return self._known(ModelMetric.load(path), path)

        def measure() -> ModelMetric:
            metric = self.measure()
            metric.save(path)
            return metric

        return replace(self, measure=measure)

    def _known(self, metric: ModelMetric, path: Path) -> Consumer:
        """Return the consumer of a metric in a file, or refuse one of other weights, names or features."""
        found = Consumer.of_metric(metric)
        if found.name != self.name:
            raise BadArgument(
                f"{path} holds the metric of {found.name}, not of {self.name}", Hint("give another file as [metric]")
            )
        if None not in (found.digest, self.digest) and found.digest != self.digest:
            raise BadArgument(
                f"{path} holds a metric of {found.name} that was measured on other weights: their digest is"
                f" {found.digest}, not {self.digest}",
                Hint("remove the file, so that the metric is measured anew, or give another as [metric]"),
            )
        unlike = [name for name, count in found.channels.items() if self.channels.get(name) != count]
        turned = [
            name for name in found.channels if not is_same_rotation(found.rotary.get(name), self.rotary.get(name))
        ]
        if unlike or turned:
            said = f"such as another {unlike[0]!r}" if unlike else f"such as {turned[0]!r} with other rotary positions"
            raise BadArgument(
                f"{path} holds a metric of {found.name} for other features, {said}",
                Hint("remove the file, or give another as [metric]"),
            )
        return replace(found, replay=self.replay)

    def reads(self, channels: Mapping[str, int]) -> list[str]:
        """Return those of some features that it reads; BadArgument if there are none, or of another width."""
        names = sorted(set(channels) & set(self.channels))
        if not names:
            raise BadArgument(
                f"{self.name} reads {_listed(self.channels)}, not {_listed(channels)}",
                "name the model and the block that the features are of",
            )
        for name in names:
            if channels[name] != self.channels[name]:
                raise BadArgument(
                    f"{name!r} has {channels[name]} channels, and {self.channels[name]} for {self.name}",
                    "name the model that the features are of",
                )
        return names

    def codec_options(self) -> dict[str, Any]:
        """Return the options by which `klt` codes for the consumer."""
        rotary = {"rotary": dict(self.rotary)} if self.rotary else {}
        sinks = {"sinks": True} if any(name.endswith(_CACHES) for name in self.channels) else {}
        nats = {"weight_nats": _NATS} if self.has_likelihood else {}
        digest = {} if self.digest is None else {"consumer_digest": self.digest}
        return {"weight": _Weights(self), "consumer": self.name, **digest, **nats, **rotary, **sinks}


class _Weights(Mapping[str, Tensor]):
    """The error weights of a consumer, by feature, which are measured when the first one is asked for."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    @cached_property
    def _measured(self) -> dict[str, Tensor]:
        metric = self._consumer.measure()
        scale = 1.0 if metric.nats is None else (metric.nats / _NATS) ** 0.5
        return {name: root * scale for name, root in metric.weights(0).items()}

    def __getitem__(self, feature: str) -> Tensor:
        return self._measured[feature]

    def __contains__(self, feature: object) -> bool:
        return feature in self._consumer.channels

    def __iter__(self) -> Iterator[str]:
        return iter(self._consumer.channels)

    def __len__(self) -> int:
        return len(self._consumer.channels)


def _needs_inputs(loaded: LoadedModel) -> BadArgument:
    """Return the error for a model that is measured on its inputs, where only features are given."""
    return BadArgument(
        f"what {loaded.name}, a {loaded.config.model_type}, feels is not measured from features alone",
        "measure it on the inputs, where these features are extracted",
    )


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
