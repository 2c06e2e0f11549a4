"""The errors of the codecs, as a tree.

    CodecError
    ├── CorruptRecord      the bytes are damaged, cut short, or contradict themselves
    ├── NonFiniteInput     a NaN or an infinity reached a codec that would lose it
    ├── UnsupportedInput   a tensor, a grid or a table that the format cannot hold, or a value of another kind
    │   ├── BeyondFloat32  a finite value outside the range of float32, in which lossy codecs compute
    │   ├── OutOfReach     a quality that the profile of a group is too coarse for
    │   └── NoFiniteAnswer a consumer without a finite answer to any encoding of a sample
    ├── UnknownCodec       no codec has that id or number
    ├── UnknownProfile     the record names a profile that was not given
    ├── BadQuality         a quality that is invalid, or that the codec cannot aim at
    └── MissingExtra       an optional package is not installed

Every error has two lines: the fault, with the value that has it, and `cure`, the action that removes it.
"""


class CodecError(Exception):
    """Base of all errors of the codecs."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        if cure:
            self.add_note(cure)

    def __reduce__(self) -> tuple[type["CodecError"], tuple[str, str]]:
        return type(self), (self.message, self.cure)


class CorruptRecord(CodecError):
    """The bytes of a record are damaged, cut short, or contradict themselves; the message names the fault."""


class NonFiniteInput(CodecError):
    """A NaN or an infinity reached a codec that would lose it."""


class UnsupportedInput(CodecError):
    """A tensor, a grid or a table that the format cannot hold, or a value of another kind."""


class BeyondFloat32(UnsupportedInput):
    """A finite value that float32, in which lossy codecs compute, cannot hold or would round to zero."""


class OutOfReach(UnsupportedInput):
    """A quality that the profile of a group is too coarse for; a single feature would be stored without loss."""


class NoFiniteAnswer(UnsupportedInput):
    """A consumer whose answers to all encodings of a sample have no finite divergence."""


class UnknownCodec(CodecError, LookupError):
    """No codec has that id, or the number that a record contains."""


class UnknownProfile(CodecError, LookupError):
    """The record names a profile that was not given to `decode`."""


class BadQuality(CodecError, ValueError):
    """A quality that is invalid, or that the codec cannot aim at."""


class MissingExtra(CodecError, ImportError):
    """An optional package is not installed; the cure is the install command."""
