"""The result of encoding: the bytes of a record, and the sums from which all figures are computed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a record: its bytes, and the error that remains once it is decoded."""

    bytes: int
    """Bytes of the layer's sections. The first layer counts the header, so that sums are lengths of prefixes."""
    sse: float
    """Squared error of the tensor that this layer and all before it decode to."""
    weighted_sse: float | None = None
    """The same error as the profile weighs it; None where it weighs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums over the elements of one tensor. Sums, not means, so that figures over many tensors stay exact."""

    elements: int
    sum: float
    """Sum of all values in float32; here and below, values that are not finite are left out."""
    sum_sq: float
    """Sum of all squared values."""
    sse: float
    """Sum of squared errors over all elements."""
    max_error: float
    signal: float
    """Sum over the bulk of squared differences from the channel means: the profile's, or else the tensor's own."""
    bulk_sse: float
    """Sum of squared errors over the bulk."""
    weighted_sse: float | None = None
    """Sum of squared errors as the profile weighs them; None where it weighs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Figures):
    """The figures of one item of a record that holds several."""

    layers: tuple[float, ...]
    """Squared error that remains with each layer."""
    weighted_layers: tuple[float, ...] = ()
    """The same errors as the profile weighs them; empty where it weighs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Figures):
    """The figures of one feature of a group that is coded jointly."""

    name: str
    """Name of the feature."""
    layers: tuple[float, ...]
    """Squared error that remains with each layer."""
    weighted_layers: tuple[float, ...] = ()
    """The same errors as the profile weighs them; empty where it weighs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Figures):
    """A coded tensor, or several, with the figures of all of them together."""

    data: bytes
    codec: str
    """Id of the codec that wrote the record: the lossless one if the profile's codec gained nothing."""
    layers: tuple[Layer, ...]
    payload_bits: int
    """Bits of the sections, without the header."""
    parts: tuple[Part, ...] = ()
    """Figures of each feature of a group."""
    items: tuple[Item, ...] = ()
    """Figures of each item, if the record holds several."""
