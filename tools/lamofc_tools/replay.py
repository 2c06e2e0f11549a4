"""The former place of `replay` and `replaying`; use `replay` and `substitute_features` of `lamofc_tools.models`."""

from lamofc_tools.deprecated_names import warn_renamed
from lamofc_tools.models import replay
from lamofc_tools.models import substitute_features as replaying

__all__ = ["replay", "replaying"]

warn_renamed(__name__, "replay and substitute_features of lamofc_tools.models")
