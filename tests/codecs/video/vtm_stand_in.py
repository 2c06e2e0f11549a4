"""Programs that take VTM's command lines and code by the VVenC of ffmpeg: VTM itself is not at hand.

The encoder refuses any command line but LaMoFC's. With a file `MASKED` beside it, the streams are such that only the
decoder beside it can read them, as streams of a newer VTM may be.
"""

import stat
import sys
from pathlib import Path

import imageio_ffmpeg

BANNER = "VVCSoftware: VTM {} Version 23.3 [stand-in][64 bit]"
_PROGRAM = """#!{python}
import pathlib, subprocess, sys
here = pathlib.Path(__file__).parent
print({banner!r})
if "--help" in sys.argv:
    sys.exit(0)
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
flags = [one for one in sys.argv[1:] if one.startswith("--")]
masked = (here / "MASKED").is_file()
def mask(data):
    return bytes(255 - one for one in data) if masked else data
def ffmpeg(arguments, data):
    subprocess.run([{ffmpeg!r}, "-v", "error", "-y", *arguments], input=data, check=True)
"""
_ENCODER = """
assert flags == ["--InputChromaFormat=400", "--ConformanceWindowMode=1", "--InternalBitDepth=10",
                 "--InputBitDepth=10", "--OutputBitDepth=10"], flags
assert pathlib.Path(options["-c"]).name == "encoder_intra_vtm.cfg" and pathlib.Path(options["-c"]).is_file()
assert (options["-o"], options["-f"], options["-fr"]) == ("", "1", "1"), options
columns, rows = int(options["-wdt"]), int(options["-hgt"])
luma = pathlib.Path(options["-i"]).read_bytes()
assert len(luma) == 2 * rows * columns, (len(luma), rows, columns)
grey = (512).to_bytes(2, "little") * (rows * columns // 2)
read = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", f"{columns}x{rows}", "-r", "1", "-i", "pipe:0"]
write = ["-c:v", "libvvenc", "-qp", options["-q"], "-qpa", "0", "-preset", "faster", "-threads", "1", "-f", "vvc"]
ffmpeg([*read, "-frames:v", "1", *write, "stream"], luma + grey)
pathlib.Path(options["-b"]).write_bytes(mask(pathlib.Path("stream").read_bytes()))
"""
_DECODER = """
stream = mask(pathlib.Path(options["-b"]).read_bytes())
write = ["-frames:v", "1", "-vf", "extractplanes=y", "-f", "rawvideo", "-pix_fmt", "gray10le"]
ffmpeg(["-f", "vvc", "-i", "pipe:0", *write, options["-o"]], stream)
"""


def install(folder: Path, *, config: bool = True, masked: bool = False) -> Path:
    """Write both programs and the configuration as VTM's build lays them, and return the encoder's path."""
    (folder / "bin").mkdir(parents=True)
    (folder / "cfg").mkdir()
    if config:
        (folder / "cfg/encoder_intra_vtm.cfg").write_text("IntraPeriod : 1\n")
    if masked:
        (folder / "bin/MASKED").touch()
    for name, body in (("Encoder", _ENCODER), ("Decoder", _DECODER)):
        program = folder / f"bin/{name}App"
        head = _PROGRAM.format(
            python=sys.executable, banner=BANNER.format(name), ffmpeg=imageio_ffmpeg.get_ffmpeg_exe()
        )
        program.write_text(head + body)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder / "bin/EncoderApp"
