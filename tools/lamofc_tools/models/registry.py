"""Kinds of models, in one table. An entry holds everything that generic code needs to know about a kind."""

from dataclasses import dataclass

from lamofc_store.errors import BadArgument
from lamofc_tools.models.caches import ATTENTION, STATE_SPACE, CacheLayout
from lamofc_tools.models.inputs import InputKind


@dataclass(frozen=True)
class ModelKind:
    """A class of models with the same kind of inputs and the same layout of features between their blocks."""

    inputs: InputKind
    model_types: tuple[str, ...]
    """Values of `model_type` in the models' configs."""
    preprocessor: str
    """Class of transformers that prepares the inputs."""
    model: str = "AutoModel"
    """Class of transformers that loads the model."""
    heads: tuple[str, ...] = ()
    """Endings of the names of classes of transformers that have the model with a head that answers."""
    output: str = "layer.{}"
    """Name of the feature after a block; `{}` stands for the block's number."""
    family: str | None = None
    """Published family of features, whose names the samples get; None if there is none."""
    file_key: str = ""
    """Key of a block's output in the files of the family."""
    pattern: str | None = None
    """Pattern of the features after blocks; None for the default one."""
    patches: bool = False
    """Whether the tokens are a class token, registers and the patches of an image."""
    cache: CacheLayout | None = None
    """States that blocks keep of earlier tokens; None for models that generate no text."""


KINDS = (
    ModelKind(
        inputs="images",
        model_types=("dinov3_vit", "dinov2", "dinov2_with_registers", "vit"),
        preprocessor="AutoImageProcessor",
        heads=("ForImageClassification",),
        family="dinov3",
        file_key="backbone.blocks.{}",
        patches=True,
    ),
    ModelKind(
        inputs="images",
        model_types=("resnet",),
        preprocessor="AutoImageProcessor",
        heads=("ForImageClassification",),
        pattern="b c h w -> (b h w) c",
    ),
    ModelKind(
        inputs="sounds",
        model_types=("whisper", "wav2vec2", "hubert"),
        preprocessor="AutoFeatureExtractor",
        heads=("ForConditionalGeneration", "ForCTC"),
    ),
    ModelKind(
        inputs="texts",
        model_types=("qwen3", "qwen2", "llama", "mistral", "qwen3_moe", "gemma2", "gemma3_text", "olmo2", "phi3"),
        preprocessor="AutoTokenizer",
        model="AutoModelForCausalLM",
        output="layer.{}.output",
        family="qwen3",
        file_key="output",
        cache=ATTENTION,
    ),
    ModelKind(
        inputs="texts",
        model_types=("falcon_mamba", "mamba"),
        preprocessor="AutoTokenizer",
        model="AutoModelForCausalLM",
        output="layer.{}.output",
        family="falconmamba",
        file_key="output",
        cache=STATE_SPACE,
    ),
)


def model_kind(model_type: str) -> ModelKind:
    """Return the kind of a model by the `model_type` of its config; BadArgument if no kind has it."""
    for kind in KINDS:
        if model_type in kind.model_types:
            return kind
    supported = ", ".join(name for kind in KINDS for name in kind.model_types)
    raise BadArgument(f"models of type {model_type!r} are not known here", f"one of {supported}")
