"""`lamofc extract --for`: images cut and named as LaMoFCBench's scripts of DINOv3 do it."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

import lamofc_store
from lamofc_store import sources
from lamofc_store.errors import BadArgument, SourceError
from lamofc_tools.models import open_model
from lamofc_tools.models.inputs import IMAGE_VIEWS, ModelInput
from tests.store.exporting.scripts.published_files import taken_by
from tests.store.sources.families.published import unpacked
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here
Lamofc: TypeAlias = Callable[..., Any]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
PATCH = 64
"""Pixels that divide the sides of all views, so that a model has few tokens."""


def picture(path: Path, width: int, height: int) -> Path:
    from PIL import Image

    torch.manual_seed(width)
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.randint(0, 255, (height // 8, width // 8, 3), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).resize((width, height)).save(path)
    return path


def views_of(script: str, path: Path) -> torch.Tensor:
    return IMAGE_VIEWS[script].tensor(ModelInput("a", path).image(), MEAN, STD)


def test_classified_images_are_resized_and_cut_in_the_centre(tmp_path: Path) -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    path = picture(tmp_path / "a.png", 700, 300)
    whole = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(512, interpolation=v2.InterpolationMode.BICUBIC),
            v2.CenterCrop(512),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    assert torch.equal(views_of("dinov3cls", path), whole(ModelInput("a", path).image())[None])


def test_a_flip_pair_is_the_image_and_its_mirror_image(tmp_path: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    path = picture(tmp_path / "a.png", 640, 480)
    whole = transforms.Compose(
        [transforms.ToTensor(), transforms.Resize(768), transforms.Normalize(mean=MEAN, std=STD)]
    )
    one, other = views_of("dinov3dep", path)
    assert one.shape == (3, 768, 1024)
    assert torch.equal(one, whole(ModelInput("a", path).image())) and torch.equal(other, one.flip(2))


@pytest.mark.parametrize(
    ("width", "height", "starts"),
    [
        (300, 200, [(0, 0), (0, 448)]),
        (200, 300, [(0, 0), (448, 0)]),
        (128, 128, [(0, 0)]),
        (400, 160, [(0, 0), (0, 596), (0, 1192), (0, 1344)]),
    ],
)
def test_crops_slide_to_the_border(tmp_path: Path, width: int, height: int, starts: list[tuple[int, int]]) -> None:
    from PIL import Image

    image = ModelInput("a", picture(tmp_path / "a.png", width, height)).image()
    scale = 896 / min(width, height)
    resized = image.resize((int(width * scale + 0.5), int(height * scale + 0.5)), Image.Resampling.BILINEAR)
    pixels = torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8)
    plane = pixels.reshape(resized.height, resized.width, 3).permute(2, 0, 1).float() / 255
    whole = (plane - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    crops = views_of("dinov3seg", tmp_path / "a.png")
    assert torch.equal(crops, torch.stack([whole[:, top : top + 896, left : left + 896] for top, left in starts]))


def test_an_image_that_is_long_and_narrow_is_refused(tmp_path: Path) -> None:
    for width, refused in ((160, False), (168, True)):
        path = picture(tmp_path / f"{width}.png", width, 8)
        with pytest.raises(SourceError, match=r"168\.png of 168 x 8 .* 896 x 18816") if refused else nullcontext():
            IMAGE_VIEWS["dinov3seg"].check_size(ModelInput("a", path).image(), path)


INPUTS = {
    "dinov3cls": ("n01/a.png", "n01-a", (1, 8 * 8)),
    "dinov3dep": ("kitchen/rgb_1.png", "kitchen-rgb_1-wflip", (2, 12 * 18)),
    "dinov3seg": ("validation/ADE_1.png", "ADE_1-stackedpatches", (2, 14 * 14)),
}


@pytest.mark.parametrize("script", INPUTS)
def test_a_script_finds_what_was_extracted_for_it(lamofc: Lamofc, tmp_path: Path, script: str) -> None:
    file, name, (views, patches) = INPUTS[script]
    model = tiny_models.vision(tmp_path / "model", "dinov3", 40, PATCH)
    path = picture(tmp_path / "in" / file, 300, 200)
    picture(path.with_name("unlisted.png"), 200, 200)
    (tmp_path / "list.txt").write_text(str(Path(file).with_suffix("")))
    for_script = ("--for", script, "--samples-from", tmp_path / "list.txt")
    ran = lamofc("extract", model, tmp_path / "in", tmp_path / "store", *for_script, "--codec", "raw", "--json")
    assert (ran.code, ran.document["samples"]) == (0, 1), ran.err
    again = lamofc("extract", model, tmp_path / "in", tmp_path / "store", *for_script, "--codec", "raw", "--json")
    assert again.document["already"] == 1
    assert lamofc("export", tmp_path / "store", tmp_path / "out", "--for", script, "--measured").code == 0
    files = ("--files", "lamofcbench")
    assert lamofc("extract", model, tmp_path / "in", tmp_path / "files", *for_script, *files).code == 0
    loaded = open_model(model)
    with torch.no_grad():
        pixels = IMAGE_VIEWS[script].tensor(ModelInput("a", path).image(), [0.5] * 3, [0.2] * 3)
        states = loaded.model(pixel_values=pixels, output_hidden_states=True).hidden_states
    blocks = (9, 39) if script == "dinov3cls" else (9, 19, 29, 39)
    for folder in ("out", "files"):
        taken, _ = taken_by(script, unpacked(tmp_path / folder / f"{name}.zst"))
        assert [one.shape for one in taken] == [(views, 5 + patches, 32)] * len(blocks)
        assert torch.allclose(taken[0], states[10], atol=1e-5)
    assert [sample.id for sample in sources.open(tmp_path / "files")] == [name]
    with lamofc_store.open(str(tmp_path / "store")) as store:
        assert list(store) == [name]
        (grid,) = {text for (text,) in store.sql("SELECT grid FROM records").fetchall()}
        assert json.loads(grid)["height"] * json.loads(grid)["width"] == patches


@pytest.mark.parametrize(
    ("kind", "script", "words"),
    [
        ("dinov3", "qwen3", ("'qwen3' takes no views of images", "export for qwen3")),
        ("dinov3", "dinov2", ("'dinov2' is no evaluation script", "dinov3cls")),
        ("dinov3", "dinov3dep", ("block 9 of a model that has 4", "--block 0 to 3")),
        ("resnet", "dinov3cls", ("views for dinov3cls of resnet", "leave out --for")),
    ],
)
def test_views_that_no_script_takes_are_refused(
    lamofc: Lamofc, tmp_path: Path, kind: str, script: str, words: tuple[str, ...]
) -> None:
    model = tiny_models.vision(tmp_path / "model", kind)
    picture(tmp_path / "in" / "n1" / "a.png", 64, 64)
    ran = lamofc("extract", model, tmp_path / "in", tmp_path / "store", "--for", script)
    assert ran.code == BadArgument.exit_code and len(ran.lines()) == 2
    assert not [word for word in words if word not in ran.err], ran.err


def test_the_command_line_names_its_own_options(lamofc: Lamofc, tmp_path: Path) -> None:
    with lamofc_store.open(str(tmp_path / "store"), "w-") as store:
        store.ingest({"a/b": {"layer.9": torch.randn(1, 5, 4)}}, codec="raw")
    ran = lamofc("export", tmp_path / "store", tmp_path / "out", "--for", "dinov3dep")
    assert ran.code == BadArgument.exit_code and "or give --for dinov3cls" in ran.err, ran.err
    ran = lamofc("export", tmp_path / "store", tmp_path / "out", "--for", "dinov3cls", "--samples-from", tmp_path / "x")
    assert ran.code == 3 and "x cannot be read" in ran.err, ran.err
