"""The codecs `vvc` and `hevc`: ten-bit planes through ffmpeg's encoders (extra `vvc`)."""

from lamofc_codecs.video.codec import Hevc, Vvc
from lamofc_codecs.video.vtm import known_vtm, register_vtm

__all__ = [
    "Hevc",
    "Vvc",
    "known_vtm",
    "register_vtm",
]
