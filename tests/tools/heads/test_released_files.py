"""Heads in files of weights, as DINOv2 and DINOv3 are released with: they answer as transformers' models do."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lamofc_store import open as open_store
from lamofc_store.errors import BadArgument
from lamofc_tools.heads import PublishedSource, TrainingConfig, TrainingSet
from lamofc_tools.reproduction import Inputs
from lamofc_tools.reproduction.parts import ORIGINAL, CodedPart, JudgedPart
from lamofc_tools.reproduction.tables.data_sets import DINOV3, after_block
from tests.tools.heads import dino_models as models

pytestmark = pytest.mark.usefixtures("one_thread")

Lamofc = Any
FEATURES = tuple(f"layer.{number}" for number in range(4))
RELEASED_NAMES = (
    (r"^neck\.|^head\.(?=head|projection)", ""),
    (r"^head\.(?=\d)", "conv_depth.head."),
    (r"reassemble_stage\.readout_projects", "reassemble_blocks.readout_projects"),
    (r"reassemble_stage\.layers\.(\d)\.projection", r"reassemble_blocks.projects.\1.conv"),
    (r"reassemble_stage\.layers\.(\d)\.resize", r"reassemble_blocks.resize_layers.\1"),
    (r"^convs\.(\d)\.", r"convs.\1.conv."),
    (r"fusion_(?:stage\.)?layers\.(\d)\.projection", r"fusion_blocks.\1.project.conv"),
    (
        r"fusion_(?:stage\.)?layers\.(\d)\.residual_layer(\d)\.convolution(\d)",
        r"fusion_blocks.\1.res_conv_unit\2.conv\3.conv",
    ),
    (r"^projection", "project.conv"),
)
"""Names of a DPT decoder's weights in transformers, and in the released files."""


def _released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a DPT decoder by their names in released files, which lack those that nothing uses."""
    renamed = {}
    for name, tensor in weights.items():
        for pattern, replacement in RELEASED_NAMES:
            name = re.sub(pattern, replacement, name)
        if "fusion_blocks.0.res_conv_unit1" not in name:
            renamed[name] = tensor
    return renamed


def _predict(source: PublishedSource, url: str) -> Tensor:
    with open_store(url) as store:
        head, record = source.open(store)
        samples = TrainingSet.of(store, record["inputs"], record["target"])
        ((features, targets),) = samples.batches(TrainingConfig().loader(samples, shuffle=False))
        return head.predict(features, targets)


def _resized(maps: Tensor) -> Tensor:
    return interpolate(maps, size=models.SIZE, mode="bilinear", align_corners=False)


def test_the_linear_head_of_dinov3(lamofc: Lamofc, tmp_path: Path) -> None:
    model = models.make("DINOv3ViTModel", **models.SIZES, num_register_tokens=4)
    model.save_pretrained(tmp_path / "backbone")
    features, answer = models.answer(model)
    store = models.fill(tmp_path / "raw", features, 5)
    linear = nn.Linear(64, models.CLASSES)
    torch.save(linear.state_dict(), tmp_path / "linear.pth")
    tokens = answer.last_hidden_state
    expected = linear(torch.cat([tokens[:, 0], tokens[:, 5:].mean(dim=1)], dim=1)).detach()
    backbone = str(tmp_path / "backbone")
    source = PublishedSource(path=tmp_path / "linear.pth", target="label", features=FEATURES[3:], backbone=backbone)
    assert torch.equal(_predict(source, store), expected)
    accuracy = float((expected.argmax(1) == torch.arange(models.IMAGES) % models.CLASSES).float().mean())
    command = ("eval", "head", tmp_path / "linear.pth", store, "--feature", "layer.3")
    ran = lamofc(*command, "--backbone", backbone, "--json")
    assert ran.document["points"][0]["values"]["accuracy"] == pytest.approx(accuracy)
    weights = {"norm.weight": model.norm.weight, "norm.bias": model.norm.bias, "rope_embed.periods": torch.ones(2)}
    torch.save(weights, tmp_path / "backbone.pth")
    assert (
        lamofc(*command, "--backbone", tmp_path / "backbone.pth", "--json").document["points"] == ran.document["points"]
    )
    unsaid = lamofc(*command)
    assert "behind the final norm" in unsaid.err and "--backbone" in unsaid.err
    assert _judged(tmp_path, features["layer.3"]) == pytest.approx(accuracy)


def _judged(folder: Path, tokens: Tensor) -> float:
    """The accuracy of the head, as `lamofc reproduce` asks it about the features of a folder."""
    place = folder / "features/dinov3/imagenet-val"
    place.mkdir(parents=True)
    for number, value in enumerate(tokens):
        save_file({"layer.3": value.contiguous()}, place / f"s{number}.safetensors")
    rows = "".join(f"s{number},{number % models.CLASSES}\n" for number in range(len(tokens)))
    place.with_suffix(".csv").write_text(f"sample,label\n{rows}")
    (folder / "judges/dinov3").mkdir(parents=True)
    judge = {"head": "../../linear.pth", "target": "label", "backbone": "../../backbone", "grid": "5+4x5"}
    (folder / "judges/dinov3/imagenet-val@layer.3.json").write_text(json.dumps(judge))
    inputs = Inputs(*(folder / name for name in ("features", "weights", "judges", "results")))
    part = JudgedPart(CodedPart(after_block(DINOV3["imagenet-val"], 3), ORIGINAL, 0.0))
    assert part.missing(inputs) == []
    return part.measure(inputs)["performance"]


def test_the_linear_head_of_four_layers_of_dinov2(tmp_path: Path) -> None:
    model = models.make("Dinov2Model", **models.SIZES)
    features, answer = models.answer(model)
    store = models.fill(tmp_path / "raw", features, 1)
    linear = nn.Linear(5 * 32, models.CLASSES)
    save_file(dict(linear.state_dict()), tmp_path / "linear.safetensors")
    layers = [model.layernorm(tokens) for tokens in features.values()]
    expected = linear(torch.cat([*(tokens[:, 0] for tokens in layers), layers[3][:, 1:].mean(dim=1)], dim=1)).detach()
    source = PublishedSource(path=tmp_path / "linear.safetensors", target="label", features=FEATURES, backbone="none")
    normed = models.fill(
        tmp_path / "normed", dict(zip(FEATURES, (tokens.detach() for tokens in layers), strict=True)), 1
    )
    assert torch.equal(_predict(source, normed), expected)
    assert torch.equal(layers[3], answer.last_hidden_state) and not torch.equal(_predict(source, store), expected)


def test_the_dpt_head_of_dinov3(tmp_path: Path) -> None:
    model = models.chmv2(bins_strategy="linear", norm_strategy="linear", max_depth=100.0)
    model.backbone.save_pretrained(tmp_path / "backbone")
    features, answer = models.answer(model)
    store = models.fill(tmp_path / "raw", features, 5)
    torch.save(_released(model.head.state_dict()), tmp_path / "dpt.pth")
    source = PublishedSource(
        path=tmp_path / "dpt.pth", target="depth", features=FEATURES, backbone=str(tmp_path / "backbone")
    )
    expected = _resized(answer.predicted_depth[:, None])[:, 0]
    torch.testing.assert_close(_predict(source, store), expected, rtol=1e-5, atol=1e-5)
    assert float(expected.std()) > 0.1


def test_the_dpt_head_of_dinov2(tmp_path: Path) -> None:
    model = models.dpt()
    features, answer = models.answer(model)
    store = models.fill(tmp_path / "raw", features, 1)
    weights = _released({name: tensor for name, tensor in model.state_dict().items() if name[:4] in ("neck", "head")})
    released = {f"decode_head.{name}": tensor for name, tensor in weights.items()}
    torch.save({"meta": {"epoch": 3}, "state_dict": released}, tmp_path / "dpt.pth")
    source = PublishedSource(path=tmp_path / "dpt.pth", target="depth", features=FEATURES)
    expected = _resized(answer.predicted_depth[:, None])[:, 0] + 0.001  # released heads add the least depth
    torch.testing.assert_close(_predict(source, store), expected, rtol=1e-5, atol=1e-5)
    assert float(expected.std()) > 0.01


def test_linear_heads_of_dinov2_for_maps(tmp_path: Path) -> None:
    features, _ = models.answer(models.make("Dinov2Model", **models.SIZES))
    store = models.fill(tmp_path / "raw", features, 1)
    image = features["layer.3"][:, 1:].reshape(models.IMAGES, *models.PATCHES, 32).permute(0, 3, 1, 2)
    norm, classify = nn.BatchNorm2d(32).eval(), nn.Conv2d(32, models.CLASSES, 1)
    norm.running_mean, norm.running_var = torch.randn(32), torch.rand(32) + 0.5
    _save_v2(tmp_path / "segments.pth", bn=norm, conv_seg=classify)
    source = PublishedSource(path=tmp_path / "segments.pth", target="segments", features=FEATURES[3:], backbone="none")
    torch.testing.assert_close(_predict(source, store), _resized(classify(norm(image))).detach())

    regress = nn.Conv2d(64, 16, 1)
    _save_v2(tmp_path / "depth.pth", conv_depth=regress)
    pairs = torch.cat([image, features["layer.3"][:, 0, :, None, None].expand_as(image)], dim=1)
    larger = interpolate(pairs, scale_factor=4, mode="bilinear", align_corners=False)
    weights = regress(larger).relu() + 0.1
    depths = (weights / weights.sum(1, keepdim=True) * torch.linspace(0.001, 80, 16)[:, None, None]).sum(
        1, keepdim=True
    )
    source = PublishedSource(path=tmp_path / "depth.pth", target="depth", features=FEATURES[3:], bins=(0.001, 80.0))
    torch.testing.assert_close(_predict(source, store), _resized(depths)[:, 0].detach(), rtol=1e-4, atol=1e-4)


def _save_v2(file: Path, **modules: nn.Module) -> None:
    """Write modules as the training program of DINOv2's heads for maps does."""
    weights = nn.ModuleDict(modules).state_dict()
    torch.save({"state_dict": {f"decode_head.{name}": tensor for name, tensor in weights.items()}}, file)


class _Code:
    """An object whose unpickling runs code."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


def test_files_of_no_head_are_refused(lamofc: Lamofc, tmp_path: Path) -> None:
    features, _ = models.answer(models.make("Dinov2Model", **models.SIZES))
    store = models.fill(tmp_path / "raw", features, 1)
    linear = nn.Linear(64, models.CLASSES).state_dict()
    released = _released(models.chmv2().head.state_dict()) | {"project.conv.weight": torch.ones(16, 16, 3, 3)}
    lacking = {name: tensor for name, tensor in released.items() if name != "convs.1.conv.weight"}
    wrong = {name: tensor[:, :3] if name == "project.conv.weight" else tensor for name, tensor in released.items()}
    four = [word for name in FEATURES for word in ("--feature", name)]
    last = four[-2:]
    cases: list[tuple[Any, list[str], str]] = [
        ({"encoder.x": torch.ones(2)}, last, "holds encoder.x: no head that is known"),
        (linear, four, "a matrix for 64 channels, and layers of 32, 32, 32, 32"),
        (linear, [*last, "--target", "word", "--backbone", "none"], "'LABEL_0' is no class"),
        (linear, [*last, "--backbone", str(tmp_path / "raw")], "holds no final norm"),
        ([torch.ones(2)], last, "holds a list"),
        ({"weight": _Code()}, last, "is no head"),
        (lacking, four, "is no complete head"),
        (wrong, four, "is no complete head"),
        (released, [*four[:-2], "--feature", "depth"], "layers of 32, 32, 32, 32 channels"),
    ]
    for number, (content, options, says) in enumerate(cases):
        file = tmp_path / f"{number}.pth"
        torch.save(content, file)
        ran = lamofc("eval", "head", file, store, *options)
        assert ran.code in (1, 2) and len(ran.lines()) == 2 and says in ran.err, ran.err
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with open_store(store) as opened, pytest.raises(BadArgument, match="is no head"):
        PublishedSource(path=tmp_path / "x.safetensors", target="label").open(opened)
