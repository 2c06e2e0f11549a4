"""Words about what fits found in features, a line for all features of which the same is said."""

from collections.abc import Callable

_MOST_NAMES = 3
"""Features that a line names."""


class Findings:
    """Gathers findings while fits report them."""

    def __init__(self) -> None:
        self._features: dict[str, list[str]] = {}

    def __call__(self, feature: str, finding: str) -> None:
        """Take what was found in a feature."""
        self._features.setdefault(finding, []).append(feature)

    def tell(self, note: Callable[[str], None]) -> None:
        """Pass on a line for each finding."""
        for finding, features in self._features.items():
            more = len(features) - _MOST_NAMES
            note(f"{', '.join(features[:_MOST_NAMES])}{f' and {more} more' if more > 0 else ''}: {finding}")
