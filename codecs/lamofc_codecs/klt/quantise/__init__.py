"""The quantiser of `klt`: token classes, rate-distortion optimised deadzone, gains of items, pruned zero runs.

In: tokens x columns and a step. Out: integers, and the class that selects their probability table."""

from lamofc_codecs.klt.quantise.deadzone import PARTS, WEIGHT, Rounding, errors_of_tokens, fit_drawn, quantise
from lamofc_codecs.klt.quantise.item_gains import MOST, ItemGains, down, least_lifts, read_lifts, up, write_lifts
from lamofc_codecs.klt.quantise.token_classes import ENERGIES, FACTORS, USUAL, Tokens, energies_of, squares_of
from lamofc_codecs.klt.quantise.zero_runs import prune_zero_runs

__all__ = [
    "ENERGIES",
    "FACTORS",
    "MOST",
    "PARTS",
    "USUAL",
    "WEIGHT",
    "ItemGains",
    "Rounding",
    "Tokens",
    "down",
    "energies_of",
    "errors_of_tokens",
    "fit_drawn",
    "least_lifts",
    "prune_zero_runs",
    "quantise",
    "read_lifts",
    "squares_of",
    "up",
    "write_lifts",
]
