"""The quantiser of `klt`: token classes, rate-distortion optimised deadzone, gains of items, pruned zero runs.

In: tokens x columns and a step. Out: levels, and the class that selects their probability table."""

from lamofc_codecs.klt.quantise.column_costs import ColumnCosts
from lamofc_codecs.klt.quantise.deadzone import (
    ERROR_PER_BIT,
    SIXTEENTHS,
    Deadzone,
    fit_offsets,
    quantisation_errors,
    quantise,
)
from lamofc_codecs.klt.quantise.item_gains import (
    ItemGains,
    gain_factors,
    inverse_gain_factors,
    read_gains,
    smallest_gains,
    write_gains,
)
from lamofc_codecs.klt.quantise.token_classes import (
    AVERAGE_CLASS,
    CLASS_FACTORS,
    TOKEN_CLASSES,
    TokenGroups,
    classify_tokens,
    token_energies,
)
from lamofc_codecs.klt.quantise.zero_runs import prune_zero_runs

__all__ = [
    "AVERAGE_CLASS",
    "CLASS_FACTORS",
    "ERROR_PER_BIT",
    "SIXTEENTHS",
    "TOKEN_CLASSES",
    "ColumnCosts",
    "Deadzone",
    "ItemGains",
    "TokenGroups",
    "classify_tokens",
    "fit_offsets",
    "gain_factors",
    "inverse_gain_factors",
    "prune_zero_runs",
    "quantisation_errors",
    "quantise",
    "read_gains",
    "smallest_gains",
    "token_energies",
    "write_gains",
]
