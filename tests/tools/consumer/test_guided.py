"""Guided coding of a language model's features, in each way that `klt` codes tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import Tensor

from lamofc_codecs import Coding, Guide, MeasuredRecords, Profile, Quality, decode, encode_together, fit
from lamofc_codecs.klt.format.bitstream import OpenedLayers, open_layers
from lamofc_codecs.record.framing import parse, sections
from lamofc_codecs.registry import open_codec
from lamofc_store.sample import layout, to_tokens
from lamofc_tools.consumer import Split, TextReplay, key_rotations
from lamofc_tools.models import open_model
from tests.tools.consumer.noise import stir
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here

TOKENS, SINK, KL = 48, 29, 0.001
_NATS = 0.0007
"""Nats that these models feel of errors weighed by the spread of each feature, about."""


@pytest.fixture(scope="module", params=["llama"])
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Split:
    loaded = open_model(
        tiny_models.language(tmp_path_factory.mktemp("models") / request.param, request.param), dtype="float32"
    )
    stir(loaded.model)
    return Split(loaded, 1)


@torch.no_grad()
def features_of(split: Split, seed: int, *, repeated: int = 1) -> dict[str, Tensor]:
    """Features of a text whose first token is that of all texts, and whose words may be repeated."""
    words = torch.randint(
        1, len(tiny_models.WORDS), (TOKENS // repeated,), generator=torch.Generator().manual_seed(seed)
    )
    ids = words.repeat_interleave(repeated)
    ids[0] = 0
    return split.features(ids[None])[0]


@dataclass
class Guided:
    """A sample that is coded with a guide and without one."""

    split: Split
    features: dict[str, Tensor]
    profile: Profile
    steps: int = 10

    @property
    def rows(self) -> dict[str, Tensor]:
        return {name: to_tokens(value, self.split.patterns[name]) for name, value in sorted(self.features.items())}

    @cached_property
    def replay(self) -> TextReplay:
        return TextReplay(self.split, 6)

    def shaped(self, decoded: Sequence[Tensor]) -> dict[str, Tensor]:
        named = zip(sorted(self.features), decoded, strict=True)
        patterns = self.split.patterns
        return {name: layout.from_tokens(part, patterns[name], self.features[name].shape) for name, part in named}

    def measure(self, decoded: Sequence[Tensor]) -> float:
        measure = self.replay("text", self.features)
        assert measure is not None
        return measure(self.shaped(decoded))

    def coded(self) -> MeasuredRecords:
        gradient = self.replay.gradient("text", self.features)
        assert gradient is not None

        def slopes(decoded: list[Tensor]) -> list[Tensor]:
            found = gradient(self.shaped(decoded))
            return [to_tokens(found[name], self.split.patterns[name]) for name in sorted(found)]

        codings, quality = [Coding(self.rows, self.profile)], Quality(kl=KL)
        plain = encode_together(codings, quality, self.measure)
        guided = encode_together(codings, quality, self.measure, Guide(slopes, self.steps))
        assert guided.guided and not plain.guided
        assert len(guided.records[0].data) < len(plain.records[0].data)
        return guided

    def opened(self, data: bytes) -> OpenedLayers:
        parameters = open_codec(self.profile).parameters  # type: ignore[attr-defined]
        return open_layers(sections(data, parse(data)), TOKENS, parameters.widths, parameters)

    def check(self, met: MeasuredRecords) -> list[Tensor]:
        """Assert that rows tell what a reader finds, and return the errors of each part."""
        decoded = decode([met.records[0].data], self.profile)
        assert self.measure(decoded) == pytest.approx(met.divergence, rel=1e-4)
        assert 0.4 * KL < met.divergence < 1.6 * KL
        errors = [(value.float() - part.float()) for value, part in zip(self.rows.values(), decoded, strict=True)]
        assert [part.dtype for part in decoded] == [value.dtype for value in self.features.values()]
        told = sum(float(error.double().square().sum()) for error in errors)
        assert met.records[0].sse == pytest.approx(told, rel=1e-4)
        return errors


def fitted(split: Split, samples: Sequence[Mapping[str, Tensor]], **options: Any) -> Profile:
    """Fit to features that count by their own spread."""
    rows = [{name: to_tokens(value, split.patterns[name]) for name, value in one.items()} for one in samples]
    spread = {name: torch.cat([one[name].float() for one in rows]).std() for name in rows[0]}
    weights = {name: torch.eye(rows[0][name].shape[1]) / spread[name] for name in spread}
    options = {"weight": weights, "weight_nats": _NATS, "weight_floor": 0.001, **options}
    rotary = key_rotations(split.loaded, split.block + 1)
    return fit("klt", rows, Quality(kl=KL), features=sorted(spread), rotary=dict(rotary), **options)


@pytest.fixture(scope="module")
def samples(split: Split) -> list[dict[str, Tensor]]:
    return [features_of(split, seed) for seed in range(1, 13)]


def test_sinks_keep_their_finer_step(split: Split, samples: list[dict[str, Tensor]]) -> None:
    features = features_of(split, 20)
    for name, value in features.items():
        to_tokens(value, split.patterns[name])  # refuses a feature that is none of the split's
        value.select(-2, SINK).mul_(12)
    case = Guided(split, features, fitted(split, samples, sinks=True, waves=False))
    met = case.coded()
    gains = case.opened(met.records[0].data).side.item_gains
    assert gains is not None and gains[SINK] > 0 and (gains > 0).sum() == 1
    lengths = torch.cat(case.check(met), 1).norm(dim=1)
    assert lengths[SINK] < 0.3 * lengths.median()


def test_tokens_on_a_grid(split: Split) -> None:
    smooth = [features_of(split, seed, repeated=16) for seed in range(1, 13)]
    case = Guided(split, features_of(split, 20, repeated=16), fitted(split, smooth, waves=True))
    met = case.coded()
    assert case.opened(met.records[0].data).side.grid.rows > 1
    case.check(met)


def test_first_tokens_and_exact_entries_stay_as_they_are(split: Split, samples: list[dict[str, Tensor]]) -> None:
    profile = fitted(split, samples)
    assert len(profile.tensors["first_tokens"]) == 1
    features = features_of(split, 20)
    features[split.output][0, 30, 5] = 1e5
    case = Guided(split, features, profile)
    met = case.coded()
    errors = dict(zip(case.rows, case.check(met), strict=True))
    assert errors[split.output][30, 5] == 0
    lengths = torch.cat(list(errors.values()), 1).norm(dim=1)
    assert lengths[0] < 0.05 * lengths[1:].median()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parts_in_half_precision(split: Split, samples: list[dict[str, Tensor]], dtype: torch.dtype) -> None:
    half = [{name: value.to(dtype) for name, value in one.items()} for one in [*samples, features_of(split, 20)]]
    case = Guided(split, half[-1], fitted(split, half[:-1]))
    case.check(case.coded())


def test_fewer_layers_have_the_errors_that_are_told(split: Split, samples: list[dict[str, Tensor]]) -> None:
    case = Guided(split, features_of(split, 20), fitted(split, samples, layer_bytes=48))
    met = case.coded()
    case.check(met)
    record = met.records[0]
    assert len(record.layers) > 2
    codec, felt = open_codec(case.profile), []
    whole = torch.cat(list(case.rows.values()), 1)
    for end, layer in zip(accumulate(layer.bytes for layer in record.layers), record.layers, strict=True):
        decoded = decode([record.data[:end]], case.profile)
        felt.append(case.measure(decoded))
        positions = torch.arange(TOKENS).numpy()
        weighed = codec.weigh_errors(whole - torch.cat(decoded, 1), positions)  # type: ignore[attr-defined]
        assert layer.weighted_sse == pytest.approx(float(weighed.double().square().sum()), rel=0.3)
    assert felt[-1] == pytest.approx(met.divergence, rel=1e-4) and felt[0] > 2 * felt[-1]
