"""The data sets of the three papers: where their features are looked for, and what makes them."""

from __future__ import annotations

from dataclasses import replace

from lamofc_tools.reproduction.parts import FeatureSet

_PICTURES = "lamofc extract facebook/dinov3-vit7b16-pretrain-lvd1689m PICTURES {out} --files lamofcbench"
_QWEN3 = "lamofc extract Qwen/Qwen3-8B TEXTS.jsonl {out} --layer 5 --files lamofcbench"
_FALCON = "lamofc extract tiiuae/falcon-mamba-7b-instruct TEXTS.jsonl {out} --layer 5 --files lamofcbench"
_KIMI = (
    "python: with lamofc_tools.models.record_kimiaudio(model.alm) around a call of Kimi-Audio-7B-Instruct;"
    " torch.save(features, '{out}/ID.pt')"
)
_SD35 = "lamofc extract stable-diffusion-3.5-large-controlnet-canny PROMPTS.jsonl {out} --steps 60 --files lamofcbench"
_CLASSIFICATIONS = ("cls", "cnn")
"""Tasks of LaMoFC and DT-UFC that a linear head may do; crops and pairs of the others are those of their scripts."""
_ARRAYS = "python: numpy.save('{out}/feature/ID.npy', array) of "


def _published(family: str, key: str, extraction: str, names: str, script: str = "") -> dict[str, FeatureSet]:
    """Return LaMoFCBench's sets of one model, by their names, judged by the script that is named for the model."""
    folder, export = f"{family}/calibration", f"--for {script or family}"
    return {name: FeatureSet(f"{family}/{name}", folder, extraction, (), key, export=export) for name in names.split()}


def _pictures(name: str, script: str, export: str = "") -> FeatureSet:
    """Return a set of DINOv3, cut as the script of its task does; samples to fit on have the layers of all tasks."""
    return FeatureSet(
        f"dinov3/{name}",
        "dinov3/calibration",
        f"{_PICTURES} --for {script}",
        family="dinov3-total",
        calibration_extraction=f"{_PICTURES} --layer 10 --layer 20 --layer 30 --layer 40",
        export=export,
    )


DINOV3 = {
    **{name: _pictures(name, "dinov3cls") for name in ("imagenet-val", "imagenet-a", "imagenet-r")},
    "ade20k": _pictures("ade20k", "dinov3seg", "--for dinov3seg"),
    "nyudepthv2": _pictures("nyudepthv2", "dinov3dep", "--for dinov3dep"),
}
QWEN3 = _published("qwen3", "qwen", _QWEN3, "gsm8k arc-challenge truthfulqa hellaswag winogrande")
FALCONMAMBA = _published("falconmamba", "falconmamba", _FALCON, "gsm8k arc-challenge truthfulqa hellaswag winogrande")
KIMIAUDIO = _published("kimiaudio", "kimiaudio", _KIMI, "librispeech-clean librispeech-other advbench openbookqa sd-qa")
SD35 = _published("sd35", "sd35", _SD35, "coco", "sd35cond")["coco"]
SD35_CONDITIONS = replace(SD35, features=("text_encoder*", "vae.encoder*"), part="conditions")
SD35_LATENTS = replace(SD35, features=("vae.decoder",), part="latents")


def after_block(features: FeatureSet, block: int) -> FeatureSet:
    """Return a set of DINOv3 with the features after one block alone, counted from 0."""
    return replace(features, features=(f"layer.{block}",), part=f"layer.{block}")


def _task(task: str, model: str, array: str) -> FeatureSet:
    """Return the set of one task of LaMoFC and DT-UFC, whose folders hold one model's arrays."""
    own = FeatureSet(f"lamofc/{model}/{task}", f"lamofc/calibration/{task}", _ARRAYS + array, task=task)
    return own if task in _CLASSIFICATIONS else replace(own, export="--format lamofc-npy")


TASKS = {
    "cls": _task("cls", "dinov2", "1 x 1 x 257 x 1536, DINOv2 ViT-g/14 after block 40"),
    "seg": _task("seg", "dinov2", "2 x 1 x 1370 x 1536, DINOv2 ViT-g/14 after block 40"),
    "dpt": _task("dpt", "dinov2", "2 x 4 x 1611 x 1536, DINOv2 ViT-g/14 after blocks 10, 20, 30 and 40"),
    "csr": _task("csr", "llama3", "1 x 1 x N x 4096, Llama 3 8B after block 32"),
    "tti": _task("tti", "sd3", "1 x 16 x 128 x 128, Stable Diffusion 3 before the VAE's decoder"),
    "cnn": _task("cnn", "resnet50", "2048 x 7 x 7, ResNet-50 after its last stage"),
}
