# ruff: noqa: S101, D102
"""Tests of the contract that every codec fulfils. A codec's own test is a subclass that names the codec.

    class TestMine(CodecConformance):
        codec = "mine"
        quality = Quality(snr_db=20)
        noise = 0.011

The class needs no test framework; pytest collects its methods, and a script may call them. A codec that no package
offers yet is given by its class, `codec = Mine`, whose module another process must be able to import.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.api import decode, encode, fit
from lamofc_codecs.codec import Codec
from lamofc_codecs.contract import check_class, check_encoding
from lamofc_codecs.errors import CorruptRecord, UnknownProfile, UnsupportedInput
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Record, inspect, pack, sections
from lamofc_codecs.registry import CODECS, codec_class, open_codec
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Bulk
from lamofc_codecs.testing.assertions import must_be_at_most, must_equal, must_match, must_raise
from lamofc_codecs.testing.other_process import decode_elsewhere
from lamofc_codecs.testing.samples import SHAPES, feature


class CodecConformance:
    """Tests of one codec: a subclass names the codec, and states the noise that it may add."""

    codec: ClassVar[str | type[Codec]]
    options: ClassVar[dict[str, Any]] = {}
    quality: ClassVar[Quality | None] = None
    noise: ClassVar[float] = 0.0
    """Largest squared error over the bulk, as a share of the variance about the channel means; 0 if lossless."""
    dtypes: ClassVar[tuple[torch.dtype, ...]] = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

    @classmethod
    def codec_id(cls) -> str:
        """Check that the codec's class fulfils the contract, and return its id."""
        if isinstance(cls.codec, str):
            check_class(codec_class(cls.codec), foreign=False)
            return cls.codec
        CODECS.register(cls.codec)
        return cls.codec.id

    @classmethod
    @lru_cache(maxsize=32)
    def profile(cls, channels: int) -> Profile:
        """Fit on three samples that no test codes."""
        return fit(cls.codec_id(), [feature(90, channels, -seed) for seed in (1, 2, 3)], cls.quality, **cls.options)

    def coded(self, tensor: Tensor) -> tuple[Record, Tensor]:
        """Encode and decode one tensor."""
        profile = self.profile(tensor.shape[1])
        record = encode([tensor], profile)[0]
        return record, decode([record.data], profile)[0]

    def compressible(self) -> Tensor:
        """Make a tensor for which the codec takes fewer bytes than `raw`; override it if this one is none."""
        return feature(900, 64, 900)

    def check_figures(self, source: Tensor, decoded: Tensor, record: Record) -> None:
        """Compare the figures of the record with those computed from the tensors."""
        must_equal("decode, dtype and shape", (decoded.dtype, decoded.shape), (source.dtype, source.shape))
        x, y = (tensor.to(torch.float32).numpy().astype(np.float64) for tensor in (source, decoded))
        bulk = Bulk.of(self.profile(source.shape[1]))
        mean = x.mean(0) if bulk is None and len(x) else (0 if bulk is None else bulk.mean.astype(np.float64))
        inside = np.ones(x.shape, bool) if bulk is None else (x >= bulk.low) & (x <= bulk.high)
        figures = {
            "elements": x.size,
            "sum": x.sum(),
            "sum_sq": (x**2).sum(),
            "sse": ((x - y) ** 2).sum(),
            "max_error": np.abs(x - y).max(initial=0),
            "bulk_sse": ((x - y) ** 2)[inside].sum(),
            "signal": ((x - mean) ** 2)[inside].sum(),
        }
        scale = max(1.0, float(np.abs(x).max(initial=0))) ** 2
        for name, expected in figures.items():
            measured = getattr(record, name)
            assert abs(measured - expected) <= 1e-6 * abs(expected) + 1e-12 * scale, (
                f"{name} of the record: expected {expected:.9g}, measured {measured:.9g}"
            )
        must_be_at_most("bulk_sse of the record", record.bulk_sse, self.noise * 1.03 * record.signal)
        must_equal("bytes of all layers", sum(layer.bytes for layer in record.layers), len(record.data))
        must_equal("sse of the last layer", record.layers[-1].sse, record.sse)
        must_equal("weighted_sse of the last layer", record.layers[-1].weighted_sse, record.weighted_sse)

    def test_the_class_fulfils_the_contract(self) -> None:
        codec = open_codec(self.profile(5))
        must_equal("class of the opened codec", type(codec), CODECS[self.codec_id()])
        if codec.bulk is not None:
            must_equal("channels of the profile's bulk", len(codec.bulk.mean), 5)
        if self.quality is not None:
            kind = self.quality.kind
            assert kind in codec.qualities, f"qualities: expected {kind!r} among them, measured {codec.qualities}"

    def test_encode_and_decode_return_what_they_promise(self) -> None:
        codec, source = open_codec(self.profile(5)), feature(12, 5, 8)
        encoding = codec.encode(Source.of(source, codec.bulk), None)
        check_encoding(codec, encoding)
        out = torch.full((12, 5), 7.0)
        answer: object = codec.decode([memoryview(layer) for layer in encoding.layers], out)
        assert answer is None, f"decode fills `out` and returns nothing; it returned {reprlib.repr(answer)}"

    def test_encoding_again_gives_the_same_bytes(self) -> None:
        codec = open_codec(self.profile(31))
        source = Source.of(feature(60, 31, 11), codec.bulk)
        first, second = (codec.encode(source, None) for _ in range(2))
        must_equal("layers of a second encode", second.layers, first.layers)
        must_equal("errors of a second encode", second.errors, first.errors)

    def test_a_record_is_of_this_codec(self) -> None:
        source = self.compressible()
        record, _ = self.coded(source)
        written = CODECS.by_number(inspect(record.data).number)
        assert written is CODECS[self.codec_id()], (
            f"codec of a record: expected {self.codec_id()}, measured {written.id}, which replaces a codec that"
            " misses the quality or saves no byte"
        )

    def test_shapes_come_back(self) -> None:
        for tokens, channels in SHAPES:
            source = feature(tokens, channels, 1)
            record, decoded = self.coded(source)
            self.check_figures(source, decoded, record)
            header = inspect(record.data)
            form = (header.tokens, header.channels, header.dtype)
            must_equal("tokens, channels and dtype of the header", form, ((tokens,), (channels,), "float32"))
            must_equal("payload_bits of the record", record.payload_bits, header.payload_bits)

    def test_dtypes_come_back(self) -> None:
        for dtype in self.dtypes:
            source = feature(60, 31, 2, dtype)
            record, decoded = self.coded(source)
            self.check_figures(source, decoded, record)

    def test_never_larger_than_raw(self) -> None:
        for dtype in self.dtypes:
            noise = torch.randint(0, 256, (11, 5 * dtype.itemsize), generator=torch.Generator().manual_seed(3))
            for source in (noise.to(torch.float32).to(dtype), feature(1, 3, 4, dtype), torch.zeros(0, 4, dtype=dtype)):
                must_be_at_most("bytes of a record", len(self.coded(source)[0].data), source.nbytes + 64)

    def test_a_record_does_not_depend_on_its_batch_or_the_threads(self) -> None:
        sources = [feature(tokens, 64, tokens) for tokens in (900, 1, 900, 0, 700)]
        profile = self.profile(64)
        alone = [encode([source], profile)[0].data for source in sources]
        threads = torch.get_num_threads()
        try:
            for number in (1, 2, 4):
                torch.set_num_threads(number)
                together = [record.data for record in encode(sources, profile)]
                must_equal(f"records of a batch, {number} threads", together, alone)
                for data, decoded in zip(alone, decode(alone, profile), strict=True):
                    must_match(f"decoded in a batch, {number} threads", decoded, decode([data], profile)[0])
        finally:
            torch.set_num_threads(threads)

    def test_another_process_decodes_the_same(self) -> None:
        source = feature(50, 31, 5)
        record, decoded = self.coded(source)
        answer = decode_elsewhere(record.data, self.profile(31), self.codec)
        digest = hashlib.sha256(decoded.view(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
        must_equal("decoded by another process", answer, f"{digest} {tuple(source.shape)} {source.dtype}")

    def test_the_profile_survives_its_file_and_its_config_is_json(self) -> None:
        profile = self.profile(31)
        again = Profile.load(profile.data)
        must_equal("profile read from its file", (again.id, again.codec), (profile.id, self.codec_id()))
        must_equal("config after JSON", json.loads(json.dumps(dict(again.config))), dict(profile.config))
        fitted_again = fit(
            self.codec_id(), [feature(90, 31, -seed) for seed in (1, 2, 3)], self.quality, **self.options
        )
        must_equal("profile of a second fit", fitted_again.id, profile.id)

    def test_another_codec_and_another_profile_are_refused(self) -> None:
        record, _ = self.coded(feature(50, 31, 6))
        if codec_class(record.codec).needs_profile:
            must_raise(UnknownProfile, "decode without a profile", partial(decode, [record.data], None))
            other = self.profile(5)
            if other != self.profile(31):
                must_raise(UnknownProfile, "decode with another profile", partial(decode, [record.data], other))

    def test_out_and_dtype(self) -> None:
        source = feature(50, 31, 7)
        record, decoded = self.coded(source)
        profile = self.profile(31)
        for dtype in (torch.float32, torch.float16):
            out = torch.full((50, 31), 7.0, dtype=dtype)
            assert decode([record.data], profile, out=[out])[0] is out, "decode(out=...): expected `out` itself"
            must_match(f"decoded into `out` of {dtype}", out, decoded.to(dtype))
            must_match(f"decoded to {dtype}", decode([record.data], profile, dtype=dtype)[0], decoded.to(dtype))
        wrong = partial(decode, [record.data], profile, out=[torch.empty(31, 50)])
        must_raise(UnsupportedInput, "decode into another shape", wrong)

    def test_items_of_one_record(self) -> None:
        items = [feature(tokens, 31, tokens) for tokens in (3, 0, 1, 40)]
        profile = self.profile(31)
        record = encode([items], profile)[0]
        must_equal("tokens of the items", inspect(record.data).tokens, (3, 0, 1, 40))
        decoded = decode([record.data], profile)
        shapes = [tuple(tensor.shape) for tensor in decoded]
        must_equal("shapes of the items", shapes, [(3, 31), (0, 31), (1, 31), (40, 31)])
        for item, chosen in zip((3, 0), decode([record.data], profile, items=[3, 0]), strict=True):
            must_match(f"item {item} by itself", chosen, decoded[item])
        must_raise(UnsupportedInput, "decode of item 4 of 4", partial(decode, [record.data], profile, items=[4]))

    def test_every_damaged_byte_is_found(self) -> None:
        record, _ = self.coded(feature(12, 5, 8))
        ends = set(accumulate(layer.bytes for layer in record.layers))
        for place in range(len(record.data)):
            for bit in (0, 7):
                damaged = bytearray(record.data)
                damaged[place] ^= 1 << bit
                act = partial(decode, [damaged], self.profile(5))
                must_raise(CorruptRecord, f"decode with bit {bit} of byte {place} changed", act)
            if place not in ends:
                act = partial(decode, [record.data[:place]], self.profile(5))
                must_raise(CorruptRecord, f"decode of the first {place} bytes", act)

    def test_forged_sections_do_no_harm(self) -> None:
        # The checksums of the forged sections are right, so the codec itself must check every byte.
        for tokens, channels in ((40, 5), (400, 31)):
            record, _ = self.coded(feature(tokens, channels, 9))
            header = inspect(record.data)
            original = [bytes(part) for part in sections(record.data, header)]
            random = np.random.default_rng(10)
            for trial in range(100):
                number = trial % len(original)
                forged = bytearray(original[number])
                if trial % 4 == 0 and forged:
                    del forged[random.integers(len(forged)) :]
                elif forged:
                    forged[min(int(random.exponential(20)), len(forged) - 1)] ^= 1 << random.integers(8)
                parts = [*original[:number], bytes(forged), *original[number + 1 :]]
                data = pack(header.number, header.profile, header.grid, [[part] for part in parts])
                try:
                    decoded = decode([data], self.profile(channels))[0]
                except CorruptRecord:
                    continue
                must_equal("shape decoded from forged sections", tuple(decoded.shape), (tokens, channels))
