"""The codecs `vvc` and `hevc`: ten-bit planes through ffmpeg's encoders (extra `vvc`)."""

from lamofc_codecs.video.codec import Hevc, Vvc
from lamofc_codecs.video.vtm import register_vtm, vtm_folders

__all__ = [
    "Hevc",
    "Vvc",
    "register_vtm",
    "vtm_folders",
]
