"""The codecs, under the store's name."""

from typing import Any

import lamofc_codecs
from lamofc_codecs import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(lamofc_codecs, name)
