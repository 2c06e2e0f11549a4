"""Inputs of LaMoFCBench's tables, made by small models of each family: features, light trainings, and judges."""

import csv
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lamofc_store
from lamofc_tools.cli import main
from lamofc_tools.models import record_kimiaudio
from lamofc_tools.reproduction.tables.data_sets import DINOV3, after_block
from lamofc_tools.reproduction.tables.lamofcbench import CODERS
from tests.tools.consumer.noise import stir
from tests.tools.models import tiny_models
from tests.tools.models.test_kimiaudio import WIDTH, kimi_model

CLASSES = ("imagenet-val", "imagenet-a", "imagenet-r")
DENSE = {"ade20k": "dinov3seg", "nyudepthv2": "dinov3dep"}
LANGUAGE = ("gsm8k", "arc-challenge", "truthfulqa", "hellaswag", "winogrande")
AUDIO = {
    "librispeech-clean": "LibriSpeech-clean",
    "librispeech-other": "LibriSpeech-other",
    "advbench": "AdvBench",
    "openbookqa": "OpenBookQA",
    "sd-qa": "SD-QA",
}
"""Beginning of a sound's name by its set, as the papers' scripts expect it."""
ROWS = {"hyperprior": "Hyperprior", "elic": "ELIC", "vvc": "VTM", "klt": "klt"}
"""Row of a table by the codec of a store."""
_SMALL = ("--inner", 8, "--latent", 20, "--crop", "64x64", "--batch", 2, "--steps", 30, "--every", 10, "--lr", 0.002)
_PATCH = 64
_COUNTS = {"calibration": 10}
"""Samples of a set other than 2: of ten, a training holds out one."""


def typed(*words: object) -> None:
    """Types `lamofc WORDS`."""
    assert main([*map(str, words), "--no-progress"]) == 0, words


def run_printed(command: str, **places: Path) -> None:
    """Runs a command that a reproduction prints, its words in capitals replaced."""
    program, *words = shlex.split(command)
    assert program == "lamofc"
    typed(*(places.get(word, word) for word in words))


@dataclass(frozen=True)
class MadeInputs:
    """The folders that `lamofc reproduce` reads."""

    folder: Path

    def options(self) -> list[str]:
        names = ("features", "weights", "judges", "results")
        return [word for name in names for word in (f"--{name}", str(self.folder / name))]

    def features(self, path: str) -> Path:
        place = self.folder / "features" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def judge(self, path: str) -> Path:
        place = self.folder / "judges" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def store(self, path: str) -> Path:
        """The features of a set without loss, as weights and heads are trained on them."""
        place = self.folder / "stores" / path
        if not place.exists():
            table = self.features(f"{path}.csv")
            labels = ("--table", table) if table.exists() else ()
            typed("ingest", self.features(path), place, "--codec", "raw", *labels)
        return place

    def make_pictures(self) -> None:
        """DINOv3 on pictures of two classes, cut as each script does; linear heads that know the classes."""
        model = tiny_models.vision(self.folder / "dinov3", "dinov3", 40, _PATCH)
        for number, name in enumerate(CLASSES):
            data, labels = self._pictures(name, number), ["sample,label"]
            typed(
                "extract", model, data, self.features(f"dinov3/{name}"), "--files", "lamofcbench", "--for", "dinov3cls"
            )
            for file in sorted(data.rglob("*.png")):
                labels.append(f"{file.parent.name}-{file.stem},{int(file.parent.name[1:])}")
            self.features(f"dinov3/{name}.csv").write_text("\n".join(labels))
            for block in (9, 39):
                printed = after_block(DINOV3[name], block).judging(self.judge(f"dinov3/{name}@layer.{block}"))
                run_printed(printed, TRAINING_STORE=self.store(f"dinov3/{name}"))
        for number, (name, script) in enumerate(DENSE.items()):
            data = self._pictures(name, 10 + number, count=1)
            typed("extract", model, data, self.features(f"dinov3/{name}"), "--files", "lamofcbench", "--for", script)
        layers = [word for layer in (10, 20, 30, 40) for word in ("--layer", layer)]
        data, place = self._pictures("calibration", 20, count=5), self.features("dinov3/calibration")
        typed("extract", model, data, place, "--files", "lamofcbench", *layers)

    def _pictures(self, name: str, seed: int, count: int = 3) -> Path:
        """Pictures of two classes, bright to the left or to the right."""
        draw, data = np.random.default_rng(seed), self.folder / "pictures" / name
        for label in range(2):
            (data / f"n{label}").mkdir(parents=True)
            for number in range(count):
                shade = np.linspace(40, 200, 24)[:: 1 - 2 * label]
                pixels = shade[None, :, None] + draw.integers(0, 50, (16, 24, 3))
                picture = Image.fromarray(pixels.astype(np.uint8)).resize((192, 128))
                picture.save(data / f"n{label}" / f"{name}-{label}{number}.png")
        return data

    def make_texts(self, family: str) -> None:
        """Qwen3 or FalconMamba on texts; the model itself judges how often its likeliest tokens stay the same."""
        transformers = pytest.importorskip("transformers")
        model = tiny_models.language(self.folder / family, family, 6)
        made = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        stir(made, 0.1)
        made.save_pretrained(model)
        for number, name in enumerate((*LANGUAGE, "calibration")):
            texts = self.judge(f"{family}/{name}.jsonl")
            texts.write_text("\n".join(json.dumps(line) for line in _lines(number, _COUNTS.get(name, 2))))
            typed("extract", model, texts, self.features(f"{family}/{name}"), "--layer", 5, "--files", "lamofcbench")
            judge = {"model": model, "block": 4, "data": texts.name, "figure": "top1_continued", "continued": 8}
            self.judge(f"{family}/{name}.json").write_text(json.dumps(judge))

    def make_sounds(self) -> None:
        """Kimi-Audio's decoder on drawn sounds."""
        model = kimi_model()
        for number, name in enumerate((*AUDIO, "calibration")):
            place = self.features(f"kimiaudio/{name}")
            place.mkdir()
            for clip in range(_COUNTS.get(name, 2)):
                draw, start = torch.Generator().manual_seed(100 * number + clip), AUDIO.get(name, name)
                sound = torch.randn(1, 24, WIDTH, generator=draw).cumsum(1).bfloat16()
                with record_kimiaudio(model.alm) as payload:
                    model.alm.speak(sound, 4)
                torch.save(payload, place / f"{start}-{clip}.pt")

    def make_paintings(self) -> None:
        """Stable Diffusion 3 on captions."""
        model = tiny_models.painter(self.folder / "sd3")
        for name in ("coco", "calibration"):
            captions = tiny_models.texts(self.folder / "captions" / name, _COUNTS.get(name, 2))
            typed("extract", model, captions, self.features(f"sd35/{name}"), "--steps", 2, "--files", "lamofcbench")

    def train(self, stores: Sequence[str]) -> None:
        """Train both networks for a moment on the calibration samples of several families."""
        for arch in ("hyperprior", "elic"):
            weights = self.folder / f"weights/dt-ufc/hybrid/{arch}_lambda{{lambda}}.safetensors"
            weights.parent.mkdir(parents=True, exist_ok=True)
            places = [self.store(path) for path in stores]
            typed("codec", "train", *places, "--arch", arch, "--as-published", "dt-ufc", *_SMALL, "-o", weights)

    def judge_by_table(self, judged: str) -> None:
        """Write how alike what was coded is to the features, for all coders, as a table of performances."""
        path, _, part = judged.partition("@")
        judge, whole = self.judge(f"{judged}.csv"), self.store(path)
        origins = {coder.row: coder.origin for coder in CODERS}
        with judge.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("codec", "setting", "origin", "performance"))
            writer.writerow(("Original", "", "", 1.0))
            for place in sorted((self.folder / "results/coded" / path).glob("*.lamofc")):
                codec, setting, _ = place.name.split("-")
                if codec in ROWS and _is_of_part(place, part):
                    writer.writerow((ROWS[codec], setting, origins[ROWS[codec]], _likeness(place, whole)))


def _lines(seed: int, count: int) -> list[dict[str, str]]:
    """Texts of several lengths, with words to continue them."""
    lines = []
    for number in range(count):
        draw = torch.Generator().manual_seed(100 * seed + number)
        words = torch.randint(len(tiny_models.WORDS), (18 + 5 * (number % 2),), generator=draw).tolist()
        lines.append({"id": f"t{number}", "text": " ".join(tiny_models.WORDS[word] for word in words)})
    return lines


def _is_of_part(coded: Path, part: str) -> bool:
    """Whether a store of paintings holds the latents, or the conditions."""
    with lamofc_store.open(str(coded)) as store:
        return not part or ("vae.decoder" in store.features) == (part == "latents")


def _likeness(coded: Path, whole: Path) -> float:
    """Return the mean cosine between decoded and original features."""
    found = []
    with lamofc_store.open(str(coded)) as decoded, lamofc_store.open(str(whole)) as original:
        for name in decoded:
            for feature, value in decoded.tensors(name).items():
                pair = (value.double().flatten(), original[name, feature].double().flatten())
                found.append(float(torch.nn.functional.cosine_similarity(*pair, dim=0)))
    return sum(found) / len(found)


MAKERS: dict[int, Callable[[MadeInputs], None]] = {
    7: MadeInputs.make_pictures,
    8: lambda made: made.make_texts("qwen3"),
    9: lambda made: made.make_texts("falconmamba"),
    10: MadeInputs.make_sounds,
    11: MadeInputs.make_paintings,
}
"""What makes the inputs of each table."""
