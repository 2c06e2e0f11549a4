"""The former place of `replay` and `replaying`; both are in `lamofc_tools.models` now."""

import warnings

from lamofc_tools.models import replay, replaying

__all__ = ["replay", "replaying"]

warnings.warn(
    "lamofc_tools.replay goes with version 0.2: import replay and replaying from lamofc_tools.models",
    DeprecationWarning,
    stacklevel=2,
)
