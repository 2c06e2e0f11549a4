"""What `encode` gives for each tensor: the bytes, and the sums that every figure is later made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a record: what a reader pays for it and what error is left with it."""

    bytes: int
    """Of the layer's sections; the first layer's include the header, so that sums are lengths of prefixes."""
    sse: float
    """Squared error of what is decoded from this and all layers before."""


@dataclass(frozen=True, slots=True)
class Part:
    """One feature, or one item, of a record that holds several: the same sums, of its own elements."""

    name: str
    """Of a feature."""
    elements: int
    sum: float
    sum_sq: float
    sse: float
    max_error: float
    signal: float
    bulk_sse: float
    layers: tuple[float, ...]
    """Squared error that is left with each layer."""


@dataclass(frozen=True, slots=True)
class Record:
    """A coded tensor, or several. Sums, not means, so that figures over many records stay exact."""

    data: bytes
    codec: str
    """Id of the codec that wrote it: `raw` where that came out smaller."""
    layers: tuple[Layer, ...]
    elements: int
    sum: float
    """Of all values in float32; here and below, values that are not finite are left out."""
    sum_sq: float
    """Of all squared values."""
    sse: float
    """Sum of squared differences over all elements."""
    max_error: float
    signal: float
    """Sum over the bulk of squared differences from the channel means: the profile's, or else the tensor's own."""
    bulk_sse: float
    """Sum of squared differences over the bulk."""
    payload_bits: int
    """Bits of the sections, without the header."""
    parts: tuple[Part, ...] = ()
    """Of features that are coded together, each by itself."""
    items: tuple[Part, ...] = ()
    """Of several items, each by itself."""
