"""Files of judges that are broken, or hold other values than they should."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lamofc_store.errors import BadArgument
from lamofc_tools.reproduction.parts import CodedPart, Coder, FeatureSet, Inputs, JudgedPart
from lamofc_tools.reproduction.parts.judge_files import HeadJudge, ModelJudge, read_judge, read_table
from lamofc_tools.reproduction.tables.data_sets import SD35, SD35_CONDITIONS, SD35_LATENTS

KLT = Coder("klt", "klt", (10.0,), "snr_db")


def test_an_object_gives_a_model_with_its_options(tmp_path: Path) -> None:
    file = tmp_path / "gsm8k.json"
    file.write_text(json.dumps({"model": "m", "figure": "exact_match", "block": 4, "data": "g.jsonl", "dtype": None}))
    judge = read_judge(file)
    assert isinstance(judge, ModelJudge)
    assert (judge.model, judge.figure, judge.options.block) == ("m", "exact_match", 4)
    assert judge.options.data == str(tmp_path / "g.jsonl")
    assert judge.named == ["m", str(tmp_path / "g.jsonl")]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_a_broken_object_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gsm8k.json"
    file.write_bytes(content)
    with pytest.raises(BadArgument, match=r"gsm8k\.json cannot be read as json"):
        read_judge(file)


@pytest.mark.parametrize("document", [["m"], {"model": "m"}, {"model": "m", "figure": "accuracy", "layer": 4}])
def test_an_object_of_other_keys_is_refused(tmp_path: Path, document: Any) -> None:
    file = tmp_path / "gsm8k.json"
    file.write_text(json.dumps(document))
    with pytest.raises(BadArgument, match=r"gsm8k\.json is no object of figure, model and"):
        read_judge(file)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("data", 3, "a text"),
        ("data", "a\0b", "a text that is not empty, without a character of value 0"),
        ("figure", None, "a text"),
        ("model", ["m"], "a text"),
        ("block", "4", "a whole number from 0"),
        ("block", True, "a whole number from 0"),
        ("block", 4.5, "a whole number from 0"),
        ("block", -1, "a whole number from 0 to 2147483647"),
        ("batch", 0, "a whole number from 1 to 2147483647"),
        ("tokens", 2**40, "a whole number from 1 to 2147483647"),
    ],
)
def test_values_of_other_types_and_out_of_bounds_are_refused(
    tmp_path: Path, name: str, value: Any, expected: str
) -> None:
    file = tmp_path / "gsm8k.json"
    file.write_text(json.dumps({"model": "m", "figure": "f", name: value}))
    with pytest.raises(BadArgument, match=rf"gsm8k\.json: {name} is .*, expected {expected}"):
        read_judge(file)


def test_a_table_gives_finite_numbers_or_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gsm8k.csv"
    own = "Hyperprior,0.004,lamofc/seg,0.7\nHyperprior,0.004,dt-ufc/hybrid,0.8\n"
    file.write_text(f"codec,setting,origin,performance\nOriginal,,,0.98\nklt,5,,0.25\nklt,10,,0.5\n{own}")
    assert read_table(file, "Original", "") == {0.0: 0.98}
    assert read_table(file, "klt", "") == {5.0: 0.25, 10.0: 0.5}
    assert read_table(file, "Hyperprior", "lamofc/seg") == {0.004: 0.7}
    assert read_table(file, "Hyperprior", "dt-ufc/hybrid") == {0.004: 0.8}
    assert read_table(file, "Hyperprior", "dt-ufc/seg") == {}
    file.write_text("codec,setting,origin,performance\nklt,5,,0.25\nklt,5.0,,0.5\n")
    with pytest.raises(BadArgument, match=r"gsm8k\.csv has two rows of klt,5,"):
        read_table(file, "klt", "")
    for row, column in (("klt,5,,nan", "performance"), ("klt,inf,,1", "setting"), ("klt,5", "performance")):
        file.write_text(f"codec,setting,origin,performance\n{row}\n")
        with pytest.raises(BadArgument, match=rf"gsm8k\.csv: a row of klt: {column} is"):
            read_table(file, "klt", "")
    for content, message in (
        (b"codec,lambda,acc\n", "has the columns codec, lambda, acc"),
        (b"\xff\xfe", "cannot be read as csv"),
        (b"codec,setting,origin,performance\n" + b"k" * 200_000, "cannot be read as csv"),
    ):
        file.write_bytes(content)
        with pytest.raises(BadArgument, match=message):
            read_table(file, "klt", "")


def test_a_part_refuses_a_broken_table_before_it_is_measured(tmp_path: Path) -> None:
    inputs = Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))
    (tmp_path / "judges").mkdir()
    (tmp_path / "judges/gsm8k.csv").write_text("codec,setting,origin,performance\nklt,10,,nan\n")
    with pytest.raises(BadArgument, match="performance is 'nan'"):
        JudgedPart(CodedPart(FeatureSet("gsm8k", "gsm8k", ""), KLT, 10.0)).missing(inputs)


def test_an_object_may_name_a_published_head(tmp_path: Path) -> None:
    file, head = tmp_path / "imagenet-val.json", tmp_path / "linear.pth"
    file.write_text(json.dumps({"head": "linear.pth", "target": "label", "backbone": "none"}))
    with pytest.raises(BadArgument, match=r"imagenet-val\.json: there is no .*linear\.pth"):
        read_judge(file)
    head.write_bytes(b"")
    assert read_judge(file) == HeadJudge(head, "label", "none")
    assert read_judge(file).named == [str(head), "none"]
    file.write_text(json.dumps({"head": "linear.pth", "target": "label", "grid": "5+14x"}))
    with pytest.raises(BadArgument, match=r"5\+14x"):
        read_judge(file)
    file.write_text(json.dumps({"head": "linear.pth"}))
    with pytest.raises(BadArgument, match="names a head with head"):
        read_judge(file)
    file.write_text(json.dumps({"head": "linear.pth", "target": 3}))
    with pytest.raises(BadArgument, match="target is '3', expected a text"):
        read_judge(file)


def test_a_judge_that_is_none_is_refused_before_anything_is_coded(tmp_path: Path) -> None:
    inputs = Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))
    part = JudgedPart(CodedPart(FeatureSet("gsm8k", "gsm8k", ""), KLT, 10.0))
    (tmp_path / "judges").mkdir()
    save_file({"weight": torch.ones(2)}, tmp_path / "judges/gsm8k.safetensors")
    with pytest.raises(BadArgument, match="is no head"):
        part.missing(inputs)


def test_chosen_features_have_a_judge_of_their_own(tmp_path: Path) -> None:
    inputs = Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))
    (tmp_path / "judges/sd35").mkdir(parents=True)
    for own, value in ((SD35_CONDITIONS, 21.5), (SD35_LATENTS, 8.25)):
        text = f"codec,setting,origin,performance\nklt,10,,{value}\n"
        (tmp_path / f"judges/sd35/coco@{own.part}.csv").write_text(text)
    for own, value in ((SD35_CONDITIONS, 21.5), (SD35_LATENTS, 8.25)):
        part = JudgedPart(CodedPart(own, KLT, 10.0))
        assert part.missing(inputs) == [] and part.measure(inputs) == {"performance": value}
    (missing,) = [one for one in JudgedPart(CodedPart(SD35, KLT, 10.0)).missing(inputs) if one.kind == "performance"]
    assert missing.name == str(tmp_path / "judges/sd35/coco")
