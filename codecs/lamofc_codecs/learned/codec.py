"""The learned codecs of DT-UFC: the level indices of a scalar codebook as the pixels of a plane, coded by a network.

Two machines must select the same entropy tables, so the layers that select them run in float64 on the CPU. A checksum
of the coded numbers reveals a machine that differs all the same, and the encoder decodes each record once itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codec import Codec, check_channels, require
from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord, UnsupportedInput
from lamofc_codecs.learned.fit_scale import fit_scale, scale_of
from lamofc_codecs.learned.latent_coder import Reading, Writing
from lamofc_codecs.learned.options import PlaneOptions
from lamofc_codecs.learned.plane_tiles import Tile, tiles
from lamofc_codecs.learned.profile import LearnedOptions, fitted, model_of, weights_of
from lamofc_codecs.learned.rans64 import Ints
from lamofc_codecs.plane import PlaneParts, columns_of
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import refuse_unrouted
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import as_dtype, convert, crc32c
from lamofc_codecs.source import CPU, DecodeRequest, Encoding, Source
from lamofc_codecs.stats import NO_DISTORTION, measure_distortion, total_distortion

_MAX_NUMBERS_PER_BYTE = 1 << 19
"""Numbers of the latent that one byte of a stream can hold at most."""
_PIXELS_PER_PLACE = 256
"""Pixels of the plane for each place of the latent: 16 rows x 16 columns."""
_LEAST_TILE_BYTES = 12
"""Bytes of the smallest tile: the length of its stream, and the two words of the coder's state."""
_MAX_ITEMSIZE = 8
"""Bytes of an element of the widest dtype."""
_MISMATCH_HINT = "another version or another kind of processor wrote it: decode it there, and code it anew"


class Learned(Codec):
    """Codec of level indices as a plane of pixels by a trained network, whose training fixes the rate."""

    qualities = ("lmbda",)
    options = PlaneOptions
    fit_samples = 10

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None, options: PlaneOptions) -> Profile:
        """Place the levels on samples, and join them with the trained weights."""
        refuse_unrouted({"mapping": options.mapping})
        weights = weights_of(options.weights, cls.id)
        trained_for = weights.config.get("lmbda")
        if quality is not None and trained_for != quality.lmbda:
            raise BadQuality(
                f"lmbda={quality.lmbda:g}, the weights were trained for {trained_for}",
                "give other weights, or leave the quality out",
            )
        scale = fit_scale(samples, options)
        return fitted(weights, scale.config, scale.levels, scale.bulk)

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        if "levels" not in profile.tensors and profile.config.get("range") is None:
            raise CodecError(f"profile {profile.id[:12]} is weights without levels", "fit it on samples of a feature")
        self._options = LearnedOptions.of(profile.config)
        self._parts = PlaneParts.of(profile.config)
        ranges, levels = profile.config.get("range"), None
        if ranges is None:
            levels = profile.tensor("levels", torch.float32, *([self._parts.count] if self._parts.parts else []), -1)
        self._scale = scale_of(ranges, levels, self._options.assign, self._parts)
        check_channels(profile, self.bulk)
        self._model = model_of(profile)
        self._name = profile.id[:12]

    def part_names(self) -> tuple[str, ...]:
        """Return the features that lie side by side in a plane."""
        return self._parts.names

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        """Code one tile after another, then decode the record to measure its error."""
        if quality is not None and quality.lmbda != self._options.lmbda:
            raise BadQuality(f"{quality}, the weights were trained for {self._options.lmbda}", "give other weights")
        source = source.for_lossy(self.id, source.channels if self.bulk is None else len(self.bulk.mean))
        if source.placement.planes > 1 and not self._options.planes:
            raise UnsupportedInput(
                f"a tensor of {source.placement.planes} planes, profile {self._name} codes each as one",
                "fit with planes=True",
            )
        values = [source.part(part) for part in range(self._parts.count)]
        if not source.values.size:
            return Encoding((b"",), part_errors=((NO_DISTORTION,) * len(values),))
        plane = torch.cat([self._scale.keep(part, own) for part, own in enumerate(values)], 1)
        body = self._write(plane, source)
        decoded: list[Tensor] = [torch.empty_like(tensor) for tensor in source.tensors]
        try:
            self._restore(self._read(memoryview(body), source.values.shape, source.device), decoded)
        except CorruptRecord as error:
            raise CodecError(
                f"a record of profile {self._name} cannot be read back: {error}", "use another codec on this machine"
            ) from error
        errors = tuple(
            measure_distortion(own, convert(read, torch.float32).numpy(), bulk)
            for own, read, bulk in zip(values, decoded, self._parts.bulks(self.bulk), strict=True)
        )
        return Encoding((body,), (total_distortion(errors),), part_errors=(errors,))

    def _write(self, plane: Tensor, source: Source) -> bytes:
        """Code the tiles of a plane."""
        streams, values = [], []
        for tile in self._tiles(plane.shape, source.placement.planes):
            pixels = self._scale.to_pixels(tile.cut(plane, self._options.fill))
            with torch.inference_mode():
                latent = self._model.analyse(pixels, source.device)
                writing = Writing()
                self._model.walk(writing, latent.shape[2], latent.shape[3], latent)
            streams.append(writing.finish())
            values += writing.values
        lengths = np.array([len(stream) // 4 for stream in streams], "<u4")
        count = source.placement.planes.to_bytes(4, "little") if self._options.planes else b""
        return _checksum(values).to_bytes(4, "little") + count + lengths.tobytes() + b"".join(streams)

    def _restore(self, plane: Tensor, outs: Sequence[Tensor | None]) -> None:
        """Fill those tensors that are asked for from the columns of their features."""
        for part, (columns, out) in enumerate(zip(self._parts.columns(plane.shape[1]), outs, strict=True)):
            if out is not None:
                self._scale.restore(part, plane[:, columns], out)

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out`, one tile after another."""
        self.decode_parts(layers, (out.shape[1],), (out,))

    def decode_parts(
        self, layers: Sequence[memoryview], channels: Sequence[int], outs: Sequence[Tensor | None]
    ) -> None:
        """Fill the requested features of a group."""
        self._parts.check_widths(channels)
        shape = next((len(out) for out in outs if out is not None), 0), sum(channels)
        if not shape[0] * shape[1]:
            require(not len(layers[0]) or not any(out is not None for out in outs), "layers of an empty tensor")
            return
        self._restore(self._read(layers[0], shape, CPU), outs)

    def decode_on_device(self, requests: Sequence[DecodeRequest], device: torch.device) -> list[list[Tensor]]:
        """Decode with the networks on a device, whose rounding may change the level of a pixel midway between two."""
        return [self._values(request, device) for request in requests]

    def _values(self, request: DecodeRequest, device: torch.device) -> list[Tensor]:
        """Return the values of the requested parts of one record, in their dtypes, on a device."""
        self._parts.check_widths(request.channels)
        shape, data = (request.tokens, sum(request.channels)), request.layers[0]
        dtypes = [request.dtypes[part] for part in request.parts]
        if not shape[0] * shape[1]:
            require(not len(data), f"{len(data)} bytes for a tensor of {shape}")
            widths = [request.channels[part] for part in request.parts]
            return [
                torch.empty(shape[0], width, dtype=dtype, device=device)
                for width, dtype in zip(widths, dtypes, strict=True)
            ]
        plane, columns = self._read(data, shape, device), list(self._parts.columns(shape[1]))
        values = [self._scale.values(part, plane[:, columns[part]]) for part in request.parts]
        return [as_dtype(own, dtype) for own, dtype in zip(values, dtypes, strict=True)]

    def _read(self, data: memoryview, shape: Sequence[int], device: torch.device) -> Tensor:
        """Read the kept pixels of a plane to a device."""
        checksum, planes = int.from_bytes(data[:4], "little"), 1
        data = data[4:]
        if self._options.planes:
            planes, data = int.from_bytes(data[:4], "little"), data[4:]
            room = len(data) // _LEAST_TILE_BYTES
            require(1 <= planes <= room and shape[0] % planes == 0, f"{planes} planes of {shape[0]} rows")
        plane_tiles = list(self._tiles(shape, planes))
        plane = torch.empty(*shape, dtype=self._scale.dtype, device=device)
        values: list[Ints] = []
        for tile, stream in zip(plane_tiles, _streams(data, len(plane_tiles)), strict=True):
            reading = Reading(stream)
            rows, columns = (side // 16 for side in tile.filled)
            with torch.inference_mode():
                latent = self._model.walk(reading, rows, columns)
                reading.finish()
                tile.put(plane, self._scale.of_pixels(self._model.restore(latent, device)))
            values += reading.values
        if _checksum(values) != checksum:
            raise CorruptRecord(
                f"the numbers of profile {self._name} are not those that were written; {_MISMATCH_HINT}"
            )
        return plane

    def check_length(self, layers: Sequence[memoryview], size: int) -> None:
        """Refuse layers that are too short for a tensor of `size` bytes, by the least size of numbers and tiles."""
        length, tile = sum(map(len, layers)), self._options.tile
        max_size = length * _MAX_NUMBERS_PER_BYTE * _PIXELS_PER_PLACE * _MAX_ITEMSIZE // self._options.latent
        if tile:
            max_size = min(max_size, length // _LEAST_TILE_BYTES * tile * tile * _MAX_ITEMSIZE)
        require(size <= max_size, f"{length} bytes of layers cannot hold a tensor of {size} bytes")

    def quantise(self, tensor: Tensor) -> Tensor:
        """Replace each value by its level, or clip it to its range; `tensor` holds the features of a group in a row."""
        out = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        values = columns_of(convert(tensor.contiguous(), torch.float32).numpy(), self._parts)
        for part, (own, columns) in enumerate(zip(values, self._parts.columns(tensor.shape[1]), strict=True)):
            kept = torch.empty(own.shape, dtype=out.dtype)
            self._scale.restore(part, self._scale.keep(part, own), kept)
            out[:, columns] = kept
        return out

    def _tiles(self, shape: Sequence[int], planes: int) -> Iterator[Tile]:
        return tiles(shape[0], shape[1], self._options.tile, planes)


class Hyperprior(Learned):
    """DT-UFC's Hyperprior: 256 levels as a plane, and the scale hyperprior of Balle et al. (2018) with one channel.

    Options: `weights`, the file of trained weights; `tile`, the most rows and columns coded at once, 0 for all; `fill`,
    edge or zero; `planes`, True for tensors that may be several; and of the levels `levels`, `mapping`, `family`,
    `assign`, `bits`, `device`, as for lloydmax.
    """

    id = "hyperprior"
    number = 5
    summary = "DT-UFC: 256 levels as a plane, coded by a trained Hyperprior"


class Elic(Learned):
    """DT-UFC's ELIC: 256 levels as a plane, and the network of He et al. (2022) with one channel.

    Options: as for hyperprior.
    """

    id = "elic"
    number = 6
    summary = "DT-UFC: 256 levels as a plane, coded by a trained ELIC"


def _checksum(values: Sequence[Ints]) -> int:
    return crc32c(np.concatenate(values).astype("<i4").view(np.uint8))


def _streams(data: memoryview, count: int) -> Iterator[memoryview]:
    """Yield the stream of each tile."""
    first = 4 * count
    require(len(data) >= first, f"{len(data)} bytes for {count} tiles")
    lengths = np.frombuffer(data[:first], "<u4").astype(np.int64) * 4
    require(first + int(lengths.sum()) == len(data), f"{len(data)} bytes for tiles of {int(lengths.sum())}")
    for length in lengths:
        yield data[first : first + length]
        first += int(length)
