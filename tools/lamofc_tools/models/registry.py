"""Kinds of models by what they take and what stands between their blocks."""

from enum import Enum

from lamofc_store.errors import BadArgument
from lamofc_tools.models.inputs import Takes


class Kind(Enum):
    """What a model is."""

    VISION = "vision"
    """Images to tokens: class token, registers, patches."""
    CNN = "cnn"
    """Images to maps of channels."""
    AUDIO = "audio"
    """Sounds to tokens, frames of a few milliseconds."""
    TEXT = "text"
    """Texts to tokens, with keys and values of every block."""
    MAMBA = "mamba"
    """Texts to tokens, with a state and a convolution's last inputs of every block."""

    @property
    def family(self) -> str | None:
        """By whose names its features go; None where they have none but their own."""
        return {Kind.VISION: "dinov3", Kind.TEXT: "qwen3", Kind.MAMBA: "falconmamba"}.get(self)

    @property
    def takes(self) -> Takes:
        """What its items are."""
        return "texts" if self.reads else "sounds" if self is Kind.AUDIO else "images"

    @property
    def reads(self) -> bool:
        """Whether it takes texts, and keeps something of every token for the next ones."""
        return self in (Kind.TEXT, Kind.MAMBA)


TYPES = {
    Kind.VISION: ("dinov3_vit", "dinov2", "dinov2_with_registers", "vit"),
    Kind.CNN: ("resnet",),
    Kind.AUDIO: ("whisper", "wav2vec2", "hubert"),
    Kind.TEXT: ("qwen3", "qwen2", "llama", "mistral", "qwen3_moe", "gemma2", "gemma3_text", "olmo2", "phi3"),
    Kind.MAMBA: ("falcon_mamba", "mamba"),
}
"""By what their configs call them."""


def kind_of(model_type: str) -> Kind:
    """The kind of a model by its config's `model_type`."""
    for kind, types in TYPES.items():
        if model_type in types:
            return kind
    known = ", ".join(name for types in TYPES.values() for name in types)
    raise BadArgument(f"models of type {model_type!r} are not known here", f"one of {known}")
