"""The first layer of a record: levels of any size to bytes and back."""

from __future__ import annotations

from lamofc_codecs.klt.layers.runs import Levels, Runs


def write_first(levels: Levels, runs: Runs) -> bytes:
    """Code columns x sorted tokens, each at most 2^22 in magnitude."""
    return runs.layout.write(levels)


def first_bits(levels: Levels, runs: Runs) -> float:
    """Bits that `write_first` takes, to a part in a thousand, without coding."""
    return runs.layout.bits(levels)


def read_first(data: memoryview, runs: Runs) -> Levels:
    """Decode a layer that holds these runs and nothing else."""
    return runs.layout.read(data, runs.columns, runs.tokens.count)
