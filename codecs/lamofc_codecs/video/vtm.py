"""Run VTM, the reference software of VVC, as LaMoFC configures it: intra, luma alone, ten bits inside and out.

The encoder's path comes from an option of the fit, or from the PATH, and is never read from a file. The process keeps
those that it was given, because a profile tells that VTM codes and not where it lies.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.published import BITS

ENCODERS = ("EncoderApp", "EncoderAppStatic")
"""Names that VTM's builds give its encoder; `Decoder` in place of `Encoder` names its decoder."""
_CONFIG = "encoder_intra_vtm.cfg"
_CONFIG_FOLDERS = ("", "cfg", "../cfg", "../../cfg", "../../../cfg", "../../../../cfg")
"""Folders, seen from the encoder's, in which its builds have their configurations."""
_ENCODE_SECONDS, _DECODE_SECONDS = 86_400, 3_600
"""Most seconds of a frame; coding took the paper up to four hours, decoding takes seconds."""
_BYTES_A_PIXEL, _SPARE_BYTES = 6, 1 << 20
"""Most bytes of a decoded file: three planes of two bytes, and blocks at the edges."""
_MEMORY_A_PIXEL, _SPARE_MEMORY = 512, 4 << 30
"""Most address space of a decoder, in bytes."""
_BOUNDED = """
bound() { most=$(ulimit -H "$1"); [ "$most" != unlimited ] && [ "$most" -le "$2" ] || ulimit "$1" "$2" || exit 125; }
bound -f "$1"; bound -v "$2"; shift 2; exec "$@"
"""
"""Shell program that runs another one bounded: blocks of 512 bytes in a file, KiB of memory; lower bounds stay."""
_CURE = "code the features without the option vtm"
_LOG, _LOG_END = "log.txt", 2048
"""File of all that a program prints, and the bytes of its end that an error tells."""
_BANNER = re.compile(r"VTM (?:Encoder|Decoder) Version \[?([\w.-]+)")
_known: dict[str, Path] = {}
"""The encoder that this process was given last, by the version that profiles name."""


def register_vtm(path: Path | str) -> str:
    """Make an encoder known to this process; return the name that profiles have for it, such as `VTM 23.3`."""
    encoder = Path(path)
    if encoder.is_dir():
        encoder = next((encoder / name for name in ENCODERS if (encoder / name).is_file()), encoder)
    if not encoder.is_file():
        raise UnsupportedInput(f"vtm={str(path)!r} is no program", f"give the path of VTM's {ENCODERS[0]}")
    name = f"VTM {_version(encoder.resolve())}"
    _known[name] = encoder.resolve()
    return name


def known_vtm() -> list[Path]:
    """Return the encoders that this process was given, one of each version: another process may be given them, too."""
    return list(_known.values())


def encode(name: str, frame: bytes, sides: tuple[int, int], qp: int) -> bytes:
    """Code a frame of luma, rows x columns of two bytes, and return the stream."""
    encoder = _find(name)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.yuv").write_bytes(frame)
        depths = [f"--{depth}BitDepth={BITS}" for depth in ("Internal", "Input", "Output")]
        size = ["-wdt", str(sides[1]), "-hgt", str(sides[0]), "-f", "1", "-fr", "1"]
        files = ["-i", "in.yuv", "-o", "", "-b", "out.bin"]
        more = ["--InputChromaFormat=400", "--ConformanceWindowMode=1", *depths]
        _run(encoder, ["-c", str(_config_of(encoder)), *files, "-q", str(qp), *size, *more], folder, _ENCODE_SECONDS)
        return _read(Path(folder) / "out.bin", encoder)


def decode(name: str, stream: bytes, sides: tuple[int, int]) -> bytes | None:
    """Decode a stream to a frame whose luma comes first; None where no decoder lies beside the encoder.

    A stream may say anything of its size, so the decoder gets the room and memory that a frame of these sides needs.
    """
    decoder = _decoder_of(_known.get(name) or _on_path())
    if decoder is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.bin").write_bytes(stream)
        pixels = sides[0] * sides[1]
        blocks = (_BYTES_A_PIXEL * pixels + _SPARE_BYTES) // 512
        kibibytes = (_MEMORY_A_PIXEL * pixels + _SPARE_MEMORY) // 1024
        bounded = ["/bin/sh", "-c", _BOUNDED, "sh", str(blocks), str(kibibytes)]
        _run(decoder, ["-b", "in.bin", "-o", "out.yuv"], folder, _DECODE_SECONDS, bounded)
        return _read(Path(folder) / "out.yuv", decoder)


def _find(name: str) -> Path:
    """Return the encoder of a profile: the one of its version, or the one on the PATH if that is of its version."""
    found = _known.get(name) or _on_path()
    if found is None or (name not in _known and f"VTM {_version(found)}" != name):
        there = "none is known" if found is None else f"VTM {_version(found)} is known"
        raise CodecError(f"the profile codes by {name}, {there}", f"give its {ENCODERS[0]} with the option vtm")
    return found


def _on_path() -> Path | None:
    paths = (shutil.which(name) for name in ENCODERS)
    return next((Path(path).resolve() for path in paths if path), None)


def _decoder_of(encoder: Path | None) -> Path | None:
    if encoder is None:
        return None
    decoder = encoder.with_name(encoder.name.replace("Encoder", "Decoder"))
    return decoder if decoder != encoder and decoder.is_file() else None


def _config_of(encoder: Path) -> Path:
    """Return the configuration of intra coding that lies with the encoder."""
    files = [encoder.parent / folder / _CONFIG for folder in _CONFIG_FOLDERS]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise CodecError(f"{encoder} has no {_CONFIG} in its folder or in cfg", f"copy VTM's cfg/{_CONFIG} beside it")
    return found


@lru_cache(maxsize=8)
def _version(encoder: Path) -> str:
    """Return the version that the program prints of itself."""
    try:
        done = subprocess.run([str(encoder), "--help"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnsupportedInput(f"{encoder} cannot be run: {error}", f"give VTM's own {ENCODERS[0]}") from error
    banner = _BANNER.search(done.stdout.decode(errors="replace"))
    if banner is None:
        raise UnsupportedInput(f"{encoder} does not say that it is VTM's encoder", f"give VTM's own {ENCODERS[0]}")
    return banner[1]


def _run(program: Path, words: Sequence[str], folder: str, seconds: int, launcher: Sequence[str] = ()) -> None:
    """Run a program in a folder, by the command line of a launcher. All that it prints goes to a file there."""
    log = Path(folder) / _LOG
    try:
        with log.open("wb") as out:
            done = subprocess.run(
                [*launcher, str(program), *words], cwd=folder, stdout=out, stderr=out, timeout=seconds, check=False
            )
    except subprocess.TimeoutExpired as error:
        raise CodecError(f"{program} took more than {seconds} s", _CURE) from error
    except OSError as error:
        raise CodecError(f"{program} cannot be run: {error}", "give VTM's own programs") from error
    if done.returncode < 0:
        raise CodecError(f"{program} was ended by signal {-done.returncode}, as by a bound of its output", _CURE)
    if done.returncode:
        lines = log.read_bytes()[-_LOG_END:].decode(errors="replace").strip().splitlines()
        raise CodecError(f"{program}: {' '.join(lines[-3:]) or done.returncode}", _CURE)


def _read(file: Path, program: Path) -> bytes:
    if not file.is_file():
        raise CodecError(f"{program} wrote no {file.name}", "give VTM's own programs")
    return file.read_bytes()
