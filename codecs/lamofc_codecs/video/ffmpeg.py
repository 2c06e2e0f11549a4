"""Run the ffmpeg that imageio-ffmpeg brings."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lamofc_codecs.errors import CodecError, MissingExtra

_TIMEOUT_SECONDS = 600


def run(arguments: Sequence[str], data: bytes) -> bytes:
    """Run ffmpeg on some bytes and return its output."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"  # a file, because VVenC prints warnings to standard output
        command = [executable(), "-hide_banner", "-nostdin", "-v", "error", "-xerror", *arguments, str(out)]
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise CodecError(f"ffmpeg took more than {_TIMEOUT_SECONDS} s", "give a faster preset") from error
        if done.returncode or not out.exists():
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise CodecError(f"ffmpeg: {' '.join(lines[:3]) or done.returncode}", "use another codec")
        return out.read_bytes()


@lru_cache(maxsize=1)
def executable() -> str:
    """Return the path of the ffmpeg that imageio-ffmpeg brings."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise MissingExtra("the codecs vvc and hevc need imageio-ffmpeg", "pip install 'lamofc-store[vvc]'") from error
    path: str = imageio_ffmpeg.get_ffmpeg_exe()
    return path
