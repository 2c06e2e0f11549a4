"""Make the frozen tables of the codecs: `python -m lamofc_tools.generate.make_tables [--check]`.

A sigma class stands for coefficients whose standard deviation is 2^((class - 20) / 6) steps. They are modelled as half
Laplace, half Gauss: the real coefficients of a class are a mixture of spreads, so their tails lie between the two. The
radius of a class minimises the expected size, where an escaped value costs 12 bits beside its symbol.
"""

import argparse
import hashlib
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from lamofc_codecs.entropy import histogram, sigma_classes, tables

LAPLACE_SHARE = 0.5
ESCAPE_BITS = 12
SCALE = 1 << 30
"""Probabilities are first rounded to multiples of its inverse, so the last digit of `exp` or `erf` changes no table."""


def probability_above(edge: float, sigma: float) -> float:
    """Compute the share of values above an edge >= 0."""
    laplace = math.exp(-math.sqrt(2) * edge / sigma) / 2
    gauss = math.erfc(edge / sigma / math.sqrt(2)) / 2
    return LAPLACE_SHARE * laplace + (1 - LAPLACE_SHARE) * gauss


def model(sigma: float, radius: int) -> NDArray[np.float64]:
    """Compute the share of each symbol: values up to the radius, and the escape for all others."""
    above = [probability_above(k + 0.5, sigma) for k in range(radius + 1)]
    shares = np.zeros(tables.SYMBOLS)
    shares[0] = 1 - 2 * above[0]
    for k in range(1, radius + 1):
        shares[k] = shares[tables.SYMBOLS - k] = above[k - 1] - above[k]
    shares[tables.ESCAPE] = 2 * above[radius]
    return shares


def table(sigma: float, radius: int) -> tuple[NDArray[np.uint16], float]:
    """Make the table of a radius; return it with its expected bits for a value of that spread."""
    shares = model(sigma, radius)
    counts = np.round(shares * SCALE).astype(np.int64)
    coded = np.r_[0 : radius + 1, tables.SYMBOLS - radius : tables.SYMBOLS, tables.ESCAPE]
    counts[coded] = np.maximum(counts[coded], 1)
    freqs = histogram.normalise(counts)
    bits = float((shares[coded] * (tables.BITS - np.log2(freqs[coded].astype(np.float64)))).sum())
    return freqs, bits + ESCAPE_BITS * float(shares[tables.ESCAPE])


def make() -> bytes:
    """Make the bytes of the data file."""
    freqs, radii = [], []
    for sigma in sigma_classes.class_sigma(np.arange(sigma_classes.CLASSES)).tolist():
        candidates = [table(sigma, radius) for radius in range(1, 128)]
        best = min(range(len(candidates)), key=lambda k: candidates[k][1])
        freqs.append(candidates[best][0])
        radii.append(best + 1)
    edges = (
        np.arange(1, sigma_classes.ALL_CLASSES) - 0.5 - sigma_classes.UNIT_CLASS
    ) / sigma_classes.CLASSES_PER_OCTAVE
    return save(
        {
            "freqs": np.stack(freqs),
            "radii": np.array(radii, np.uint8),
            "thresholds": np.exp2(edges).astype(np.float32),
        },
        metadata={"id": tables.SIGMA_TABLES},
    )


def main() -> int:
    """Write the data file, or with --check compare it, and print its sha256."""
    parser = argparse.ArgumentParser(description="Make the frozen tables of the codecs.")
    parser.add_argument(
        "--check", action="store_true", help="compare with the file in the package instead of writing it"
    )
    path = Path(sigma_classes.__file__).with_name("sigma_tables.safetensors")
    data = make()
    same = path.exists() and path.read_bytes() == data
    if not parser.parse_args().check:
        path.write_bytes(data)
    elif not same:
        print(f"{path.name} differs from the tables that this program makes", file=sys.stderr)
        return 1
    print(hashlib.sha256(data).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
