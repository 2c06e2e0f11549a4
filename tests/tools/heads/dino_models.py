"""Small models of transformers with heads on DINOv2 and DINOv3, their answers, and stores of what their blocks give."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lamofc_store as lamofc
from lamofc_store import Sample
from tests.tools.consumer.noise import stir

CLASSES, IMAGES, SIZE, PATCHES = 5, 6, (32, 40), (4, 5)
SIZES = {"num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
SIZES |= {"patch_size": 8, "image_size": 32}
STAGES = [1, 2, 3, 4]


def make(name: str, noise: float = 0.1, **options: Any) -> Any:
    """A model of transformers by its class, of a config of the same name, with weights that all matter."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(0)
    config = getattr(transformers, f"{name.rpartition('For')[0] or name.removesuffix('Model')}Config")(**options)
    model = getattr(transformers, name)(config)
    stir(model, noise)
    return model.eval()


def backbone(name: str, **options: Any) -> Any:
    """The config of a backbone: `Dinov2` or `DINOv3ViT`."""
    transformers = pytest.importorskip("transformers")
    registers = {"num_register_tokens": 4} if name == "DINOv3ViT" else {}
    return getattr(transformers, f"{name}Config")(**SIZES, **registers, out_indices=STAGES, **options)


def classifier(name: str) -> Any:
    return make(f"{name}ForImageClassification", **SIZES, num_labels=CLASSES)


def dpt() -> Any:
    """DPT on DINOv2, whose depths are above zero."""
    config = backbone("Dinov2", apply_layernorm=False, reshape_hidden_states=False)
    sizes = {"neck_hidden_sizes": [8, 16, 24, 32], "fusion_hidden_size": 256, "add_projection": True}
    model = make("DPTForDepthEstimation", 0.03, backbone_config=config, **sizes)
    with torch.no_grad():
        model.head.head[4].bias.add_(2)
    return model


def chmv2(**options: Any) -> Any:
    """DPT on DINOv3."""
    config = backbone("DINOv3ViT", apply_layernorm=True, reshape_hidden_states=True, return_class_token=True)
    sizes = {"post_process_channels": [8, 16, 24, 32], "fusion_hidden_size": 16, "head_hidden_size": 8}
    sizes |= {"patch_size": 8, "number_output_channels": 16}
    return make("CHMv2ForDepthEstimation", backbone_config=config, **sizes, **options)


def mask2former() -> Any:
    config = backbone("DINOv3ViT", apply_layernorm=True, reshape_hidden_states=True)
    sizes = dict.fromkeys(("feature_size", "mask_feature_size", "hidden_dim"), 32)
    sizes |= dict.fromkeys(("encoder_feedforward_dim", "dim_feedforward"), 32)
    sizes |= {"encoder_layers": 1, "decoder_layers": 3, "num_queries": 7, "num_attention_heads": 4}
    return make("Mask2FormerForUniversalSegmentation", backbone_config=config, num_labels=CLASSES, **sizes)


def blocks_of(model: nn.Module) -> nn.ModuleList:
    """The blocks of the model's backbone."""
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList))
    return next(found for found in lists if type(found[0]).__name__.endswith(("ViTLayer", "Dinov2Layer", "tersLayer")))


@torch.no_grad()
def answer(model: Any) -> tuple[dict[str, Tensor], Any]:
    """The output of each block for some images, and what the model makes of it."""
    pixels = torch.randn(IMAGES, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    outputs: dict[str, Tensor] = {}
    for number, block in enumerate(blocks_of(model)):

        def record(_: object, __: object, output: Any, name: str = f"layer.{number}") -> None:
            outputs[name] = output[0] if isinstance(output, tuple) else output

        block.register_forward_hook(record)
    return outputs, model(pixels)


def fill(place: Path, features: dict[str, Tensor], prefix: int, codec: str = "raw") -> str:
    """A store of the features, maps to compare with, and a label."""
    noise = torch.Generator().manual_seed(2)
    maps = {
        "segments": torch.randint(0, CLASSES, (IMAGES, *SIZE), generator=noise),
        "depth": 0.5 + 9 * torch.rand(IMAGES, *SIZE, generator=noise),
    }
    grids = dict.fromkeys(features, f"{prefix}+{PATCHES[0]}x{PATCHES[1]}")
    with lamofc.open(str(place), "w") as store:
        store.ingest(_samples(features, grids), codec)
        store.ingest(_samples(maps, {}), "raw")
    return str(place)


def _samples(tensors: dict[str, Tensor], grids: dict[str, str]) -> Iterable[Sample]:
    for number in range(IMAGES):
        features = {name: tensor[number] for name, tensor in tensors.items()}
        yield Sample(f"{number}", features, {"label": number % CLASSES, "word": f"LABEL_{number % 3}"}, grids=grids)
