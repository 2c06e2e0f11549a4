"""`lamofc eval model`: from texts to a store, and from the store to the answers of the rest of the model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

import lamofc_store
from lamofc_tools.cli import main
from lamofc_tools.consumer import FidelityMeter, Split, cut_passages
from lamofc_tools.evaluation import LanguageModel, TextOptions
from lamofc_tools.models import find_inputs, open_model
from tests.tools.models import tiny_models

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]  # of tested libraries
Lamofc: TypeAlias = Callable[..., Any]
LENGTHS = (14, 20, 17, 14, 20)
FLOAT = ("--dtype", "float32")


def words(seed: int, count: int) -> list[str]:
    draw = torch.Generator().manual_seed(seed)
    return [tiny_models.WORDS[word] for word in torch.randint(20, (count,), generator=draw).tolist()]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def lines(longer: int = 0) -> list[dict[str, Any]]:
    """Texts of several lengths, or the same ones with more words after them."""
    return [
        {"id": f"t{n}", "text": " ".join(words(n, length) + words(100 + n, longer))} for n, length in enumerate(LENGTHS)
    ]


def language(folder: Path, kind: str) -> str:
    """A decoder whose answers differ, unlike those of initial weights."""
    transformers = pytest.importorskip("transformers")
    place = tiny_models.language(folder, kind)
    made = transformers.AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    draw = torch.Generator().manual_seed(0)
    for weights in made.parameters():
        weights.data += 0.1 * torch.randn(weights.shape, generator=draw)
    made.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny Qwen3."""
    return language(tmp_path_factory.mktemp("models") / "qwen3", "qwen3")


@pytest.fixture(scope="module")
def stores(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the texts after block 1, kept by `raw` and coded by `klt` in layers."""
    folder = tmp_path_factory.mktemp("stores")
    texts = str(write(folder / "texts.jsonl", lines()))
    command = ["extract", model, texts, "--block", "1", "--batch", "2", *FLOAT, "--no-progress"]
    assert main([*command, str(folder / "raw"), "--codec", "raw"]) == 0
    klt = ["--codec", "klt", "--snr", "30", "--option", "layer_bytes=32", "--group", "layer.*.{k,v}_cache"]
    assert main([*command, str(folder / "klt"), *klt]) == 0
    return folder


def evaluate(lamofc: Lamofc, *arguments: object) -> Any:
    ran = lamofc("eval", "model", *arguments, "--block", 1, *FLOAT, "--json")
    assert ran.code == 0, ran.err
    return ran.document


@pytest.mark.parametrize("kind", ["qwen3", "gemma3", "falconmamba"])
def test_features_kept_by_raw_lose_nothing(lamofc: Lamofc, tmp_path: Path, kind: str) -> None:
    model, store = language(tmp_path / kind, kind), tmp_path / "raw"
    asking = [{**line, "choices": ["a", "b c"], "answer": n % 2} for n, line in enumerate(lines(longer=9))]
    texts, longer = write(tmp_path / "a.jsonl", lines()), write(tmp_path / "b.jsonl", asking)
    assert lamofc("extract", model, texts, store, "--block", 1, *FLOAT, "--codec", "raw").code == 0
    cut = ("--continued", 6, "--batch", 2)
    for options, prefix, continued in (
        ((), sum(LENGTHS), 6 * 5),
        (("--data", longer), sum(LENGTHS), 6 * 5),
        (("--tokens", 12), 12 * 5, 2 + 6 + 5 + 2 + 6),
    ):
        if kind == "falconmamba" and "--tokens" in options:
            ran = lamofc("eval", "model", store, model, "--block", 1, *options)
            assert ran.code == 2 and "states are stored after all of its 14 tokens" in ran.err
            continue
        (point,) = evaluate(lamofc, store, model, *cut, *options)["points"]
        values = point["values"]
        assert point["samples"] == 5 and point["bpfp"] > 16 and point["profile_bpfp"] < 1e-3
        assert (values["positions_prefix"], values["positions_continued"]) == (prefix, continued)
        for part in ("prefix", "continued"):
            assert values[f"top1_{part}"] == 1 and abs(values[f"kl_{part}"]) < 1e-6
            assert values[f"perplexity_{part}"] == pytest.approx(values[f"unbroken_perplexity_{part}"], rel=1e-5)
        assert ("accuracy" in values) == (longer in options)
        assert values.get("accuracy") == values.get("unbroken_accuracy")


def test_rates_that_read_the_same_are_named(lamofc: Lamofc, stores: Path, model: str, tmp_path: Path) -> None:
    asked = ("eval", "model", stores / "klt", model, "--block", 1, *FLOAT, "--snr", 4, "--snr", 70)
    ran = lamofc(*asked, "--json")
    assert [point["rate"] for point in ran.document["points"]] == ["whole", "snr_db=4"]
    assert "klt: snr_db=70 would read the same bits as a rate that is listed" in ran.err
    early = lamofc(*asked, "--png", tmp_path / "nowhere" / "a.png")
    assert early.code == 3 and "there is no folder" in early.err and early.out == ""


def test_states_that_are_coded_lose_something_of_both_parts(lamofc: Lamofc, tmp_path: Path) -> None:
    model, store = language(tmp_path / "mamba", "falconmamba"), tmp_path / "klt"
    texts = write(tmp_path / "a.jsonl", lines(longer=9))
    assert lamofc("extract", model, texts, store, "--block", 1, *FLOAT, "--snr", 10).code == 0
    points = evaluate(lamofc, store, model, "--continued", 6, "--snr", 3)["points"]
    for part in ("prefix", "continued"):
        whole, less = (point["values"][f"kl_{part}"] for point in points)
        assert 1e-6 < whole < less < 3, part


def test_texts_that_end_are_continued_by_the_unbroken_model(model: str, stores: Path) -> None:
    rest = LanguageModel(
        Split(open_model(model, dtype="float32"), 1),
        find_inputs(str(stores / "texts.jsonl"), "texts"),
        {f"t{n}": min(length, 17) for n, length in enumerate(LENGTHS)},
        TextOptions(continued=4),
    )
    assert sorted(rest.generated) == ["t0", "t2", "t3"]
    rest.prepare(lambda count: None)
    assert sorted((group.prefix, group.length) for group in rest.passages) == [(14, 18), (17, 20), (17, 21)]
    for group in rest.passages:
        for name, ids in group.ids.items():
            with torch.no_grad():
                likeliest = rest.split.loaded.model(input_ids=ids[None]).logits[0, group.prefix - 1 : -1].argmax(-1)
            assert torch.equal(ids[group.prefix :], likeliest) == (name in rest.generated)


def test_rates_on_read_are_measured_drawn_and_not_measured_twice(
    lamofc: Lamofc, model: str, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    log = Path(shutil.copytree(stores / "raw", tmp_path / "log"))
    recorded = ("--continued", 6, "--run-in", log, "--png", tmp_path / "a.png")
    asked = (log, stores / "klt", model, "--snr", 1, "--snr", 2000, *recorded)
    points = evaluate(lamofc, *asked)["points"]
    assert [point["rate"] for point in points] == ["whole", "whole", "snr_db=1"]
    assert points[0]["bpfp"] > points[1]["bpfp"] > points[2]["bpfp"] and points[1]["profile_bpfp"] > 0
    for part in ("prefix", "continued"):
        divergences = [point["values"][f"kl_{part}"] for point in points]
        assert divergences[2] > 2 * divergences[1] > 0 and divergences[1] > abs(divergences[0])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(LanguageModel, "prepare", lambda rest, progress: pytest.fail("the model runs again"))
    assert evaluate(lamofc, *asked)["points"] == points
    shown = lamofc("eval", "model", *asked, "--block", 1, *FLOAT).out
    assert "5 texts" in shown and max(map(len, shown.splitlines()[1:])) <= 100
    monkeypatch.undo()
    more = evaluate(lamofc, *asked, "--snr", 20)["points"]
    assert more[:3] == points and more[3]["rate"] == "snr_db=20"
    with lamofc_store.open(str(log)) as store:
        assert store.sql("SELECT count(*), count(DISTINCT config) FROM runs WHERE kind = 'eval'").fetchall() == [(4, 4)]


def test_texts_of_one_length_are_measured_as_a_meter_measures_them(lamofc: Lamofc, model: str, stores: Path) -> None:
    loaded = open_model(model, dtype="float32")
    texts = [text for text in find_inputs(str(stores / "texts.jsonl"), "texts") if text.id in ("t1", "t4")]
    meter = FidelityMeter(Split(loaded, 1), cut_passages(loaded, texts, 13, 7))
    with lamofc_store.open(str(stores / "klt")) as store:
        decoded = {
            text.id: {name: value[..., :13, :] for name, value in store.tensors(text.id).items()} for text in texts
        }
    fidelity = meter.measure(decoded)
    options = ("--tokens", 13, "--where", "sample IN ('t1', 't4')")
    values = evaluate(lamofc, stores / "klt", model, *options)["points"][0]["values"]
    for part, agreement in (("prefix", fidelity.prefix), ("continued", fidelity.continuation)):
        assert {name: values[f"{name}_{part}"] for name in asdict(agreement)} == asdict(agreement)


def test_answers_are_chosen_by_their_likelihood(lamofc: Lamofc, model: str, stores: Path, tmp_path: Path) -> None:
    loaded, choices = open_model(model, dtype="float32"), [["a", "b c d"], ["e f", "g h"], ["b", "c", "d"]]
    asked: list[dict[str, Any]] = lines()
    right = {"accuracy": 0, "accuracy_norm": 0}
    for line, offered in zip(asked, choices, strict=False):
        scores = [likelihood(loaded, line["text"], choice) for choice in offered]
        line |= {"choices": offered, "answer": scores.index(max(scores))}
        normalised = [score / len(choice) for score, choice in zip(scores, offered, strict=True)]
        right["accuracy_norm"] += normalised.index(max(normalised)) == line["answer"]
    asked[1]["answer"] = asked[1]["choices"][asked[1]["answer"]]
    with torch.no_grad():
        found = [loaded.model(**loaded.processor(line["text"], return_tensors="pt")).logits[0, -1] for line in asked]
    asked[3]["answer"] = loaded.processor.decode(found[3].argmax())
    asked[4]["answer"] = loaded.processor.decode(found[4].argmin())
    questions = write(tmp_path / "questions.jsonl", asked)
    asked_of = (stores / "raw", model, "--data", questions, "--continued", 4)
    for options in ((), ("--tokens", 9)):
        values = evaluate(lamofc, *asked_of, *options)["points"][0]["values"]
        assert values["accuracy"] == 1 and values["accuracy_norm"] == pytest.approx(right["accuracy_norm"] / 3)
        assert values["exact_match"] == values["unbroken_exact_match"] == 0.5
    shown = lamofc("eval", "model", *asked_of, "--block", 1, *FLOAT).out
    rows = [line.split()[-3:] for line in shown.splitlines()[-2:]]
    assert rows[0] == rows[1] and rows[0][0::2] == ["1.0000", "0.5000"]
    asked[0]["answer"] = 2
    write(questions, asked)
    ran = lamofc("eval", "model", *asked_of, "--block", 1, *FLOAT)
    assert ran.code == 2 and "has 2 choices and the answer 2" in ran.err


def likelihood(loaded: Any, text: str, answer: str) -> float:
    """The log-likelihood of an answer after a text, in one pass."""
    ids = loaded.processor(f"{text} {answer}", return_tensors="pt")["input_ids"]
    count = len(loaded.processor(answer)["input_ids"])
    with torch.no_grad():
        logs = loaded.model(input_ids=ids).logits[0, -count - 1 : -1].log_softmax(-1)
    return float(logs.gather(1, ids[0, -count:, None]).sum())


def test_what_does_not_fit_is_said_in_two_lines(lamofc: Lamofc, model: str, stores: Path, tmp_path: Path) -> None:
    more = write(tmp_path / "more.jsonl", [*lines(), {"id": "t9", "text": "a b c"}])
    short = write(tmp_path / "short.jsonl", [{"id": "t1", "text": "a b c"}])
    wide = tmp_path / "wide"
    with lamofc_store.open(str(wide), "w") as store:
        names = ["layer.1.output", *(f"layer.{n}.{kv}_cache" for n in (0, 1) for kv in "kv")]
        store.ingest([lamofc_store.Sample("t1", {name: torch.zeros(1, 20, 48) for name in names})], "raw")
        store.ingest([lamofc_store.Sample("t2", {"layer.1.output": torch.zeros(1, 17, 32)})], "raw")
    other = tiny_models.language(tmp_path / "llama", "llama")
    raw, block = stores / "raw", ("--block", 1)
    only = ("--data", stores / "texts.jsonl", "--where")
    for words_typed, said, cure, code in (
        ((raw, model, "--block", 7), "a split after block 7", "give a block from 0 to 2", 2),
        ((raw, model, "--block", 3), "split after block 3", "give a block from 0 to 2", 2),
        ((raw, model, "--block", 2), "has no 'layer.2.output'; it has the outputs of blocks 1", "--block 1", 3),
        ((raw, model, *block, "--data", more), "has no sample 't9' with 'layer.1.output'", "leave it out", 3),
        ((raw, model, *block, "--data", short), "text 't1' has 3 tokens", "give the texts that", 2),
        ((raw, model, *block, "--where", "false"), "none of 5 texts", "widen --where", 2),
        ((raw, other, *block), "its weights is", "give the model that", 2),
        ((wide, model, *block), "does not say from which texts", "--data", 2),
        ((wide, model, *block, *only, "sample = 't1'"), "is 1 x 20 x 48, and", "give the model and the inputs", 2),
        ((wide, model, *block, *only, "sample = 't2'"), "'t2' of", "caches of texts as well", 3),
    ):
        ran = lamofc("eval", "model", *words_typed, *FLOAT)
        assert ran.code == code and said in ran.err and cure in ran.err, ran.err
        assert len(ran.lines()) == 2
