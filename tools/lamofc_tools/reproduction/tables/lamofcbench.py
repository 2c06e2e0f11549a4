"""Plans of LaMoFCBench: Tables II to XIII and Figure 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lamofc_tools.comparison import paper_table
from lamofc_tools.reproduction.parts import (
    BLANK,
    AnalysedPart,
    Block,
    CodedPart,
    Coder,
    DistributionPart,
    FeatureSet,
    Figure,
    Mean,
    MemoryPart,
    Plan,
    Row,
)
from lamofc_tools.reproduction.tables.data_sets import (
    DINOV3,
    FALCONMAMBA,
    KIMIAUDIO,
    QWEN3,
    SD35,
    SD35_CONDITIONS,
    SD35_LATENTS,
    after_block,
)
from lamofc_tools.reproduction.tables.rate_blocks import RateTable

PAPER = "lamofcbench"
LAMBDAS = (0.001, 0.004, 0.007, 0.01, 0.02)
HYBRID = "dt-ufc/hybrid"
"""Folder of DT-UFC's weights for all tasks, which LaMoFCBench takes as they are."""
KLT = Coder("klt", "klt", (5.0, 10.0, 15.0, 20.0, 25.0), "snr_db")
"""The native codec, by its signal-to-noise ratio in dB."""
HYPERPRIOR = Coder("Hyperprior", "hyperprior", LAMBDAS, weights=HYBRID, as_published=PAPER)
ELIC = Coder("ELIC", "elic", LAMBDAS, weights=HYBRID, as_published=PAPER)
CODERS = (HYPERPRIOR, ELIC, KLT)
_LANGUAGE = {
    "GSM8K": "gsm8k",
    "ArcChallenge": "arc-challenge",
    "TruthfulQA": "truthfulqa",
    "Hellaswag": "hellaswag",
    "Winogrande": "winogrande",
}
_AUDIO = {
    "LibriSpeech-Clean": "librispeech-clean",
    "LibriSpeech-Other": "librispeech-other",
    "AdvBench": "advbench",
    "OpenBookQA": "openbookqa",
    "SD-QA": "sd-qa",
}
_CLASSES = {"ImageNet-Val": "imagenet-val", "ImageNet-A": "imagenet-a", "ImageNet-R": "imagenet-r"}
_DENSE = {"ADE20K": "ade20k", "NYUDepthV2": "nyudepthv2"}
_REDUNDANCY = {"rho_h": "rho_h", "rho_v": "rho_v", "G_DCT": "gini", "C_DCT": "centroid"}
"""Figure of an analysis by the heading of its column."""
_HIDDEN = {"Hidden State": "layer.{}.output", "Key Cache": "layer.{}.k_cache", "Value Cache": "layer.{}.v_cache"}
_STATES = {"Convolution Cache": "layer.{}.conv_state", "SSM Cache": "layer.{}.ssm_state"}
_DINOV3_PARTS = {
    "Image Classification": tuple(_CLASSES),
    "Semantic Segmentation": ("ADE20K",),
    "Depth Estimation": ("NYUDepthV2",),
}
_CONDITIONS = {
    ("CLIP-L", "Text Embedding (Pos)"): "text_encoder-item0.clip{}_prompt_embeds",
    ("CLIP-L", "Text Embedding (Neg)"): "text_encoder-item3.clip{}_prompt_embeds",
    ("CLIP-G", "Text Embedding (Pos)"): "text_encoder_2-item1.clip{}_prompt_embeds",
    ("CLIP-G", "Text Embedding (Neg)"): "text_encoder_2-item4.clip{}_prompt_embeds",
    ("T5-XXL", "Text Embedding (Pos)"): "text_encoder_3-item2.t5{}_prompt_embeds",
    ("T5-XXL", "Text Embedding (Neg)"): "text_encoder_3-item5.t5{}_prompt_embeds",
    ("VAE Encoder", "Conditioning Latents"): "vae.encoder_f0",
    ("MM-DiT", "Denoised Latents"): "vae.decoder",
}
"""Feature by the first columns of Table VI; `{}` tells pooled rows from those of tokens."""
_MEGABYTES = 1e-6
_MEMORIES = (("encode_gpu_bytes", "decode_gpu_bytes"), ("encode_bytes", "decode_bytes"))
"""Figures of a GPU, which are printed, and of the host."""


def _rates(number: int, sets: Mapping[str, FeatureSet], scales: Mapping[str, float] | None = None) -> Plan:
    table = RateTable(f"{PAPER}-{number}", scales=scales or {})
    blocks = tuple(table.block(label, features, CODERS) for label, features in sets.items())
    return Plan(paper_table(table.name)["title"], blocks)


def _redundancy(number: int, found: Callable[[str, object], tuple[str, Sequence[FeatureSet]]]) -> Plan:
    """Plan a table of redundancy; `found` gives the feature and the sets of a row's part and layer."""
    printed = paper_table(f"{PAPER}-{number}")
    headings = tuple(printed["columns"][2:])
    rows = []
    for part, layer, *values in printed["rows"]:
        feature, sets = found(part, layer)
        cells = tuple(
            Mean(tuple(Figure(AnalysedPart(own, PAPER), f"{feature} {_REDUNDANCY[heading]}") for own in sets))
            for heading in headings
        )
        rows.append(Row((part, layer), cells, tuple(values)))
    return Plan(printed["title"], (Block("", ("part", "layer"), headings, tuple(rows)),))


def _of_model(
    sets: Mapping[str, FeatureSet], names: Mapping[str, str]
) -> Callable[[str, object], tuple[str, Sequence[FeatureSet]]]:
    return lambda part, layer: (names[part].format(layer), tuple(sets.values()))


def _dinov3_row(part: str, layer: object) -> tuple[str, Sequence[FeatureSet]]:
    sets = {**_CLASSES, **_DENSE}
    return f"layer.{layer}", tuple(DINOV3[sets[name]] for name in _DINOV3_PARTS[part])


def _sd35_redundancy() -> Plan:
    printed = paper_table(f"{PAPER}-6")
    headings = tuple(printed["columns"][2:])
    rows = []
    for encoder, name, *values in printed["rows"]:
        cells = []
        for heading in headings:
            axes, figure = heading.split(" ")
            feature = _CONDITIONS[encoder, name]
            own = feature.format("_pooled" if axes == "1D" else "")
            known = axes == "2D" or own != feature
            cells.append(Figure(AnalysedPart(SD35, PAPER), f"{own} {_REDUNDANCY[figure]}") if known else BLANK)
        rows.append(Row((encoder, name), tuple(cells), tuple(values)))
    return Plan(printed["title"], (Block("", ("layer", "feature"), headings, tuple(rows)),))


def _split_points() -> Plan:
    return _rates(12, {label: after_block(DINOV3[name], 39) for label, name in _CLASSES.items()})


def _vision() -> Plan:
    classes = {label: after_block(DINOV3[name], 9) for label, name in _CLASSES.items()}
    return _rates(7, classes | {label: DINOV3[name] for label, name in _DENSE.items()})


def _memory() -> Plan:
    printed = paper_table(f"{PAPER}-13")
    sets = [*DINOV3.values(), *QWEN3.values(), *FALCONMAMBA.values(), *KIMIAUDIO.values(), SD35]
    rows = []
    for features, (model, label, *values) in zip(sets, printed["rows"], strict=True):
        parts = [MemoryPart(CodedPart(features, coder, coder.settings[-1])) for coder in CODERS]
        cells = tuple(Figure(part, figure, _MEGABYTES) for place in _MEMORIES for part in parts for figure in place)
        rows.append(Row((model, label), cells, tuple(values)))
    on_host = tuple(f"{coder.row} {verb}, host" for coder in CODERS for verb in ("enc", "dec"))
    headings = (*printed["columns"][2:], "klt enc", "klt dec", *on_host)
    note = "peak memory of a GPU, as printed, and of the host, source and output included; at lambda 0.02, klt at 25 dB"
    return Plan(printed["title"], (Block("", ("model", "set"), headings, tuple(rows)),), note)


def _distributions() -> Plan:
    sets = {
        DINOV3["ade20k"]: [f"layer.{layer}" for layer in (9, 19, 29, 39)],
        QWEN3["arc-challenge"]: [name.format(layer) for name, layer in zip(_HIDDEN.values(), (4, 4, 4), strict=True)],
        FALCONMAMBA["arc-challenge"]: ["layer.4.output", *(name.format(4) for name in _STATES.values())],
        KIMIAUDIO["librispeech-clean"]: ["layer.4.output", "layer.1.k_cache", "layer.1.v_cache"],
        SD35: [name.format("") for name in _CONDITIONS.values()],
    }
    names = ("least", "decoded least", "most", "decoded most", "deviation", "decoded deviation")
    blocks = []
    for features, of_set in sets.items():
        part = DistributionPart(CodedPart(features, ELIC, ELIC.settings[-1]))
        rows = [Row((name,), tuple(Figure(part, f"{name} {figure}") for figure in names), ()) for name in of_set]
        blocks.append(Block(features.path, ("feature",), names, tuple(rows)))
    note = "a plot of each data set is drawn where a file is named for it"
    return Plan("LaMoFCBench, Figure 2: features before and after ELIC at lambda 0.02", tuple(blocks), note)


def _named(sets: Mapping[str, FeatureSet], labels: Mapping[str, str]) -> dict[str, FeatureSet]:
    return {label: sets[name] for label, name in labels.items()}


PLANS: dict[str, Callable[[], Plan]] = {
    f"{PAPER}-2": lambda: _redundancy(2, _dinov3_row),
    f"{PAPER}-3": lambda: _redundancy(3, _of_model(QWEN3, _HIDDEN)),
    f"{PAPER}-4": lambda: _redundancy(4, _of_model(FALCONMAMBA, {**_HIDDEN, **_STATES})),
    f"{PAPER}-5": lambda: _redundancy(5, _of_model(KIMIAUDIO, _HIDDEN)),
    f"{PAPER}-6": _sd35_redundancy,
    f"{PAPER}-7": _vision,
    f"{PAPER}-8": lambda: _rates(8, _named(QWEN3, _LANGUAGE)),
    f"{PAPER}-9": lambda: _rates(9, _named(FALCONMAMBA, _LANGUAGE)),
    f"{PAPER}-10": lambda: _rates(10, _named(KIMIAUDIO, _AUDIO), {"WER": 100.0}),
    f"{PAPER}-11": lambda: _rates(11, {"conditions": SD35_CONDITIONS, "latents": SD35_LATENTS}),
    f"{PAPER}-12": _split_points,
    f"{PAPER}-13": _memory,
    f"{PAPER}-figure-2": _distributions,
}
"""Plan by name."""
