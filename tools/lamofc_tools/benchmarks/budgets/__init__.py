"""All budgets in one table: each with the benchmark that measures it, and with the last committed run beside it."""

from lamofc_tools.benchmarks.budgets.budget import Budget, Limits, Outcome
from lamofc_tools.benchmarks.budgets.comparison import slower_than
from lamofc_tools.benchmarks.budgets.listed import BUDGETS

__all__ = [
    "BUDGETS",
    "Budget",
    "Limits",
    "Outcome",
    "slower_than",
]
