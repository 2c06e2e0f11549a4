"""`lamofc reproduce`: tables of small features, judged, killed and gone on with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lamofc_store
from lamofc_codecs import Quality, Sizes
from lamofc_codecs.testing.samples import drawn_weights, picture
from lamofc_store import Store
from lamofc_tools.analysis import measure_texture
from lamofc_tools.reproduction import Inputs, plan_of, reproduce
from lamofc_tools.reproduction.parts import (
    ORIGINAL,
    CodedPart,
    Coder,
    FeatureSet,
    JudgedPart,
    MemoryPart,
)

Lamofc: TypeAlias = Callable[..., Any]
ROOT = Path(__file__).parents[3]
SETS = ("gsm8k", "arc-challenge", "truthfulqa", "hellaswag", "winogrande")
pytestmark = pytest.mark.usefixtures("one_thread")


def sample(seed: int, tokens: int = 12) -> dict[str, torch.Tensor]:
    """Features as Qwen3's: a hidden state, keys and values of five blocks."""
    found = {"layer.4.output": picture(1, tokens, 32, seed)[None].bfloat16()}
    for block in range(5):
        for place, name in enumerate(("k_cache", "v_cache")):
            heads = picture(2, tokens, 8, 100 * seed + 10 * block + place).view(1, 2, tokens, 8)
            found[f"layer.{block}.{name}"] = heads.contiguous().bfloat16()
    return found


def write(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        save_file(sample(seed + number), folder / f"s{number}.safetensors")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Features of one set of Qwen3, samples to fit on, weights of one lambda, and performances of some rows."""
    write(tmp_path / "features/qwen3/gsm8k", 2, 0)
    write(tmp_path / "features/qwen3/calibration", 2, 50)
    (tmp_path / "features/qwen3/arc-challenge").mkdir()
    weights = tmp_path / "weights/dt-ufc/hybrid"
    weights.mkdir(parents=True)
    drawn_weights(Sizes("hyperprior", 8, 16), 0.001).save(weights / "hyperprior_lambda0.001.safetensors")
    (tmp_path / "judges/qwen3").mkdir(parents=True)
    rows = "codec,setting,origin,performance\nOriginal,,,0.98\nklt,5,,0.25\nklt,10,,0.5\n"
    (tmp_path / "judges/qwen3/gsm8k.csv").write_text(rows)
    return tmp_path


def options(folder: Path) -> list[str]:
    names = ("features", "weights", "judges", "results")
    return [text for name in names for text in (f"--{name}", str(folder / name))]


def test_a_table_is_filled_as_far_as_its_inputs_go(folders: Path, lamofc: Lamofc) -> None:
    ran = lamofc("reproduce", "lamofcbench-8", *options(folders), "--json", "--png", folders / "eight.png")
    assert ran.code == 0, ran.err
    document = ran.document
    block = document["blocks"][0]
    rows = {(row["labels"][0], row["labels"][1]): row for row in block["rows"]}
    assert rows["Original", None]["numbers"]["acc"] == 0.98
    coded, klt = rows["Hyperprior", 0.001], rows["klt", 10.0]
    assert coded["printed"] == {"EBPFP": 0.206, "acc": 0.01, "MSE": 9.21, "B_max": 45.511}
    (place,) = (folders / "results/coded/qwen3/gsm8k").glob("klt-10-*")
    errors, rates, samples = [], [], {f"s{number}": sample(number) for number in range(2)}
    with lamofc_store.open(str(place)) as store:
        assert sorted(store) == sorted(samples)
        for name, features in samples.items():
            decoded = store.tensors(name)
            sse = sum(float((decoded[key] - features[key]).double().square().sum()) for key in features)
            elements = sum(tensor.numel() for tensor in features.values())
            errors.append(sse / elements)
            query = "SELECT sum(payload_bits) FROM records WHERE sample = ?"
            rates.append(2 * float(store.sql(query, [name]).fetchall()[0][0]) / elements)
    assert klt["numbers"]["MSE"] == pytest.approx(sum(errors) / 2, rel=0.02)
    assert klt["numbers"]["EBPFP"] == pytest.approx(sum(rates) / 2)
    assert klt["numbers"]["whole EBPFP"] > klt["numbers"]["EBPFP"]
    assert klt["numbers"]["acc"] == 0.5
    assert rows["klt: Correlation", None]["numbers"]["acc"] < -0.8
    assert rows["Hyperprior", 0.004]["numbers"]["MSE"] is None
    missing = {one["name"] for one in document["missing"]}
    assert str(folders / "weights/dt-ufc/hybrid/hyperprior_lambda0.004.safetensors") in missing
    assert str(folders / "features/qwen3/arc-challenge") in missing
    assert f"{folders / 'judges/qwen3/gsm8k.csv'}: klt,20," in missing
    assert str(folders / "features/qwen3/gsm8k") not in missing
    assert (folders / "eight.png").stat().st_size > 10_000
    _is_read_the_second_time(folders, lamofc, document)


def _is_read_the_second_time(folders: Path, lamofc: Lamofc, document: Any) -> None:
    """The same command measures nothing again, and prints the same numbers as text."""
    text = "SELECT name, count(*) AS n FROM runs GROUP BY 1 ORDER BY 1"
    query = ["sql", folders / "results/runs.lamofc", text, "--json"]
    before = lamofc(*query).document
    assert {row["n"] for row in before} == {1}
    again = lamofc("reproduce", "lamofcbench-8", *options(folders))
    assert lamofc(*query).document == before
    assert f"{document['measured']} of {document['parts']} parts measured" in again.out
    assert "codec                    setting" in again.out
    assert "lamofc codec train STORE... --arch hyperprior --as-published dt-ufc" in again.out


def test_a_part_that_fails_is_passed_over(folders: Path, lamofc: Lamofc) -> None:
    (folders / "weights/dt-ufc/hybrid/hyperprior_lambda0.004.safetensors").write_bytes(b"no weights")
    ran = lamofc("reproduce", "lamofcbench-8", *options(folders), "--json")
    assert ran.code == 1, ran.err
    (failure,) = ran.document["failed"]
    assert failure["part"] == "qwen3/gsm8k Hyperprior 0.004" and failure["error"]
    rows = {tuple(row["labels"]): row for row in ran.document["blocks"][0]["rows"]}
    assert rows["klt", 10.0]["numbers"]["MSE"] and rows["Hyperprior", 0.001]["numbers"]["MSE"]
    text = lamofc("reproduce", "lamofcbench-8", *options(folders))
    assert text.code == 1 and "failed:\n  qwen3/gsm8k Hyperprior 0.004\n" in text.out


def test_memory_of_a_codec_that_coded_no_record_is_no_figure(folders: Path) -> None:
    inputs = Inputs(*(folders / name for name in ("features", "weights", "judges", "results")))
    features = FeatureSet("qwen3/gsm8k", "qwen3/calibration", "")
    assert MemoryPart(CodedPart(features, Coder("klt", "klt", (200.0,), "snr_db"), 200.0)).measure(inputs) == {}


def test_other_features_are_measured_anew(folders: Path) -> None:
    inputs = Inputs(*(folders / name for name in ("features", "weights", "judges", "results")))
    features = FeatureSet("qwen3/gsm8k", "qwen3/calibration", "")
    part = CodedPart(features, Coder("klt", "klt", (10.0,), "snr_db"), 10.0)
    configs = [part.config(inputs)]
    assert part.config(inputs) == configs[0]
    for file in ("gsm8k/s9", "gsm8k/s1", "calibration/s1"):  # a new file, then others of the same names and sizes
        save_file(sample(9), folders / f"features/qwen3/{file}.safetensors")
        assert part.config(inputs) not in configs
        configs.append(part.config(inputs))


def test_other_labels_are_stored_beside_the_features(folders: Path) -> None:
    inputs = Inputs(*(folders / name for name in ("features", "weights", "judges", "results")))
    part = CodedPart(FeatureSet("qwen3/gsm8k", "qwen3/calibration", ""), ORIGINAL, 0.0)
    for first, second in ((0, 1), (1, 0)):
        (folders / "features/qwen3/gsm8k.csv").write_text(f"sample,label\ns0,{first}\ns1,{second}\n")
        with part.store(inputs) as store:
            rows = store.sql("SELECT sample, label FROM samples ORDER BY sample").fetchall()
        assert rows == [("s0", first), ("s1", second)]


def test_what_was_killed_goes_on_by_the_same_command(tmp_path: Path) -> None:
    """SIGKILL after the first part that is kept; then the same command measures the others, and each once."""
    for number, name in enumerate(SETS):
        write(tmp_path / "features/qwen3" / name, 2, 10 * number)
    code = "import sys; from lamofc_tools.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "reproduce", "lamofcbench-3", *options(tmp_path), "--json"]
    roots = os.pathsep.join(str(ROOT / folder) for folder in (".", "codecs", "catalog", "tools"))
    running = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": roots}, stdout=subprocess.DEVNULL)
    commits = tmp_path / "results/runs.lamofc/commits"
    while len(list(commits.glob("*.json")) if commits.is_dir() else []) < 2:
        assert running.poll() is None
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    inputs = Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))
    with lamofc_store.open(inputs.runs) as runs:
        kept = runs.sql("SELECT name FROM runs").fetchall()
    assert 1 <= len(kept) < len(SETS)
    known = reproduce(plan_of("lamofcbench-3"), inputs, lambda *_: None, dry_run=True)
    assert [(part.name,) for part in known.measured] == kept
    seen: list[str] = []
    found = reproduce(plan_of("lamofcbench-3"), inputs, lambda done, count, name: seen.append(name))
    with lamofc_store.open(inputs.runs) as runs:
        names = [name for (name,) in runs.sql("SELECT name FROM runs").fetchall()]
    assert sorted(names) == sorted(f"qwen3/{name} analysis" for name in SETS)
    assert not found.missing
    (block,) = found.blocks
    assert all(number is not None for row in block.rows for number in row.numbers.values())


def test_a_head_judges_what_its_labels_name(tmp_path: Path, lamofc: Lamofc) -> None:
    """A linear head on classes that the features tell apart, by the labels beside the features."""
    folder = tmp_path / "features/toy/set"
    folder.mkdir(parents=True)
    lines = ["sample,label"]
    for number in range(12):
        value = picture(2, 4, 16, number) + 20 * (number % 2)
        save_file({"x": value}, folder / f"s{number}.safetensors")
        lines.append(f"s{number},{number % 2}")
    folder.with_suffix(".csv").write_text("\n".join(lines))
    store, head = tmp_path / "store", tmp_path / "judges/toy/set.safetensors"
    head.parent.mkdir(parents=True)
    assert lamofc("ingest", folder, store, "--table", folder.with_suffix(".csv"), "--codec", "raw").code == 0
    trained = lamofc("train", "linear", store, "-o", head, "--target", "label", "--feature", "x")
    assert trained.code == 0, trained.err
    inputs = Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))
    features = FeatureSet("toy/set", "toy/set", "")
    part = JudgedPart(CodedPart(features, Coder("klt", "klt", (20.0,), "snr_db"), 20.0))
    assert part.missing(inputs) == []
    assert part.measure(inputs) == {"performance": 1.0}


def test_drawings_that_cannot_be_made_are_refused_before_anything_is_measured(folders: Path, lamofc: Lamofc) -> None:
    for table, file, more, message in (
        ("lamofcbench-8", "8.pdf", (), "8.pdf is no .png"),
        ("lamofcbench-3", "3.png", (), "has nothing to draw"),
        ("lamofcbench-8", "8.png", ("--dry-run",), "--dry-run writes no file"),
    ):
        ran = lamofc("reproduce", table, *options(folders), "--png", folders / file, *more)
        assert ran.code == 2, ran.err
        assert message in ran.err
        assert not (folders / "results").exists()
        assert not (folders / file).exists()


def test_a_sample_is_coded_untimed_before_a_store_is_filled(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = Inputs(*(folders / name for name in ("features", "weights", "judges", "results")))
    part = CodedPart(FeatureSet("qwen3/gsm8k", "qwen3/calibration", ""), ORIGINAL, 0.0)
    filled: list[tuple[bool, list[str]]] = []
    ingest = Store.ingest

    def ingest_and_note(self: Store, *arguments: Any, **options: Any) -> Any:
        report = ingest(self, *arguments, **options)
        filled.append((str(folders / "results") in self.url, sorted(self)))
        return report

    monkeypatch.setattr(Store, "ingest", ingest_and_note)
    part.store(inputs).close()
    assert filled == [(False, ["s0"]), (True, ["s0", "s1"])]
    part.store(inputs).close()
    assert filled[2:] == [(True, ["s0", "s1"])]


def test_names_are_listed_and_others_refused(lamofc: Lamofc) -> None:
    listed = lamofc("reproduce").out
    assert "lamofcbench-8 " in listed
    assert "LaMoFCBench, Table VIII: Qwen3" in listed
    ran = lamofc("reproduce", "lamofcbench-99")
    assert ran.code == 3
    assert "there is no plan 'lamofcbench-99'" in ran.err


def test_qualities_are_those_of_the_settings() -> None:
    assert Coder("klt", "klt", (10.0,), "snr_db").quality(10.0) == Quality(snr_db=10.0)
    assert Coder("VTM", "vvc", (22,), "qp").quality(22) == Quality(qp=22)
    assert Coder("ELIC", "elic", (0.01,)).quality(0.01) is None


def test_statistics_of_the_supplement_are_those_of_each_layer(tmp_path: Path) -> None:
    """Range and mean over all samples; variance and gradient of each plane in ten bits, averaged over samples."""
    arrays = [np.random.default_rng(number).normal(number, 3, (2, 4, 9, 16)).astype(np.float32) for number in range(2)]
    folder = tmp_path / "features/lamofc/dinov2/dpt/feature"
    folder.mkdir(parents=True)
    for number, array in enumerate(arrays):
        np.save(folder / f"s{number}.npy", array)
    inputs = Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))
    (block,) = reproduce(plan_of("lamofc-s3"), inputs, lambda *_: None).blocks
    rows = {row.labels[0]: row for row in block.rows}
    assert all(number is None for number in rows["cls"].numbers.values())
    for layer in range(4):
        planes = [array[:, layer].reshape(18, 16) for array in arrays]
        levels = [np.round((plane - plane.min()) / np.ptp(plane) * 1023) for plane in planes]
        gradients = [measure_texture(torch.from_numpy(plane)).gradient_magnitude for plane in planes]
        numbers = rows[f"dpt.{layer + 1}"].numbers
        assert numbers["max"] == max(plane.max() for plane in planes)
        assert numbers["IV"] == pytest.approx(np.mean([level.var() for level in levels]), rel=1e-3)
        assert numbers["GM"] == pytest.approx(np.mean(gradients))
    assert rows["dpt.3"].printed["IV"] == 9.61


def test_an_encoder_that_is_not_there_is_refused_before_anything_is_coded(folders: Path, lamofc: Lamofc) -> None:
    ran = lamofc("reproduce", "lamofc-s2", *options(folders), "--vtm", folders / "none")
    assert ran.code == 1 and "is no program" in ran.err, ran.err
    assert not (folders / "results").exists()
