"""The codecs, under the store's name."""

from lamofc_codecs import *  # noqa: F403
