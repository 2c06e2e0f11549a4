"""Points whose records are lossless in place of the codec's: named in the tables of evaluations, and in no curve."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from safetensors.torch import save_file

import lamofc_store
from lamofc_codecs import Sizes
from lamofc_codecs.testing.samples import drawn_weights
from lamofc_tools.cli.render import rest_of_model
from lamofc_tools.curve_points import count_larger_records
from lamofc_tools.evaluation import Figure, FigureSet, ModelPoint, curves

Lamofc: TypeAlias = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("one_thread")
COUNT = 8


@pytest.fixture
def folder(tmp_path: Path, lamofc: Lamofc) -> Path:
    """Features of two values with labels, as `raw` stores them, and coded by a network that is not trained."""
    lines = ["sample,label"]
    (tmp_path / "features").mkdir()
    for number in range(COUNT):
        draw = torch.Generator().manual_seed(number)
        values = (torch.randn(40, 16, generator=draw) > 1.5 - number % 2).half()
        save_file({"a": values, "b": torch.randn(2, 3)}, tmp_path / f"features/s{number}.safetensors")
        lines.append(f"s{number},{number % 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    drawn_weights(Sizes("hyperprior", 8, 12)).save(tmp_path / "w.safetensors")
    ingest = ("ingest", tmp_path / "features", "--table", tmp_path / "labels.csv")
    network = ("--codec", "hyperprior", "--option", f"weights={tmp_path}/w.safetensors")
    for name, codec in (("raw", ("--codec", "raw")), ("network", network)):
        ran = lamofc(*ingest, tmp_path / name, *codec)
        assert ran.code == 0, ran.err
    return tmp_path


def test_heads_on_lossless_records_are_named_and_in_no_curve(
    folder: Path, lamofc: Lamofc, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = pytest.importorskip("matplotlib.axes")
    raw, network, head = folder / "raw", folder / "network", folder / "head.safetensors"
    with lamofc_store.open(str(network)) as store:
        samples = list(store)
        assert {row[0] for row in store.sql("SELECT codec FROM records WHERE feature = 'a'").fetchall()} == {"raw"}
        larger = store.sql(
            "SELECT count(*) FROM records WHERE feature = 'b' AND stored_bits > 8 * raw_bytes"
        ).fetchall()
        assert count_larger_records(store, samples, ["a"]) == {"fallbacks": COUNT, "expanded": 0}
        assert count_larger_records(store, samples[:3], ["a"])["fallbacks"] == 3
        assert count_larger_records(store, samples, ["b"])["expanded"] == larger[0][0] == COUNT
    assert lamofc("train", "linear", raw, "-o", head, "--target", "label", "--feature", "a").code == 0
    drawn: list[tuple[str, float]] = []
    monkeypatch.setattr(axes.Axes, "plot", lambda self, x, y, **style: drawn.append((style["label"], *x)))
    monkeypatch.setattr(axes.Axes, "legend", lambda self, **style: None)
    ran = lamofc("eval", "head", head, raw, network, "--png", folder / "p.png")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].endswith("larger than raw")
    assert [line.endswith(f"{COUNT} of {COUNT} raw") for line in lines[1:3]] == [False, True]
    assert "Such points are in no curve." in ran.out
    points = lamofc("eval", "head", head, raw, network, "--json").document["points"]
    assert [(point["fallbacks"], point["expanded"], point["in_curve"]) for point in points] == [
        (0, 0, True),
        (COUNT, 0, False),
    ]
    assert drawn == [("raw, trained on original", points[0]["bpfp"])]
    assert lamofc("eval", "head", head, network, "--png", folder / "q.png").code == 0
    assert (folder / "q.png").stat().st_size > 1000
    assert "larger than raw" not in lamofc("eval", "head", head, raw).out


def test_models_on_lossless_records_are_named_and_in_no_curve() -> None:
    figures = FigureSet("text", (Figure("kl", "KL", ".3g", "divergence"),), {})
    points = [
        ModelPoint(
            store=f"stores/{name}",
            rate="whole",
            bpfp=2.0,
            profile_bpfp=0.5,
            samples=5,
            values={"kl": 0.25},
            fallbacks=fallbacks,
            expanded=expanded,
        )
        for name, fallbacks, expanded in (("klt", 0, 0), ("net", 2, 1), ("float16", 0, 5))
    ]
    assert curves(points, figures) == {"divergence": [("klt", 2.5, 0.25)]}
    document = {"model": "m", "block": 3, "samples": 5, **asdict(figures)}
    text = rest_of_model.evaluation({**document, "points": [point.to_json() for point in points]})
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert rows["store"].endswith("larger than raw")
    assert rows["net"].endswith("2 of 5 raw, 1 of 5 expanded")
    assert rows["float16"].endswith("5 of 5 expanded")
    assert "Such points are in no curve." in text
    assert "larger" not in rest_of_model.evaluation({**document, "points": [points[0].to_json()]})
