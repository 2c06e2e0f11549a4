"""What can go wrong between tensors and bytes, as a tree.

    CodecError
    ├── CorruptRecord      the bytes are damaged, cut short, or contradict themselves
    ├── NonFiniteInput     a NaN or an infinity reached a codec that would lose it
    ├── UnsupportedInput   a tensor, a grid or a table that the format cannot hold
    ├── UnknownCodec       no codec of that id or number here
    ├── UnknownProfile     the record names a profile that was not given
    ├── BadQuality         a quality that cannot be meant, or that the codec cannot aim at
    └── MissingExtra       an optional package is not installed

Every error has two lines: what is wrong with the value that was given, and `cure`, the act that mends it.
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
    """The bytes of a record are damaged, cut short, or contradict themselves; the message names what was wrong."""


class NonFiniteInput(CodecError):
    """A NaN or an infinity reached a codec that would lose it."""


class UnsupportedInput(CodecError):
    """A tensor, a grid or a table that the format cannot hold."""


class UnknownCodec(CodecError, LookupError):
    """No codec of that id, or of that number in a record, is known here."""


class UnknownProfile(CodecError, LookupError):
    """The record names a profile that was not given to `decode`."""


class BadQuality(CodecError, ValueError):
    """A quality that cannot be meant, or that the codec cannot aim at."""


class MissingExtra(CodecError, ImportError):
    """An optional package is not installed; the cure is the install command."""
