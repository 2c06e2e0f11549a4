"""The codecs `vvc` and `hevc`: ten-bit planes through ffmpeg's encoders (extra `vvc`)."""

from lamofc_codecs.video.codec import Hevc, Vvc

__all__ = [
    "Hevc",
    "Vvc",
]
