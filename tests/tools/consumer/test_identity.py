"""A consumer is known by its name and by a digest of its weights, in metrics, in files of them and to codecs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer import Consumer, ModelMetric, Split, cut_passages, measure_metric
from lamofc_tools.models import LoadedModel, ModelInput, open_model, short_name, weights_digest
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


def made(consumer: str, digest: str | None) -> ModelMetric:
    return ModelMetric(consumer, {"a": torch.eye(2)}, 10, 20, consumer_digest=digest)


def test_a_folder_is_named_by_its_name_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_models.language(tmp_path / "llama", "llama")
    assert short_name(folder) == short_name(f"{folder}/") == short_name("hub/llama") == "llama"
    (tmp_path / "latest").symlink_to(folder)
    assert short_name(str(tmp_path / "latest")) == "latest"
    monkeypatch.chdir(folder)
    assert short_name("..") == tmp_path.name
    for name in (".", "./", "../llama/."):
        assert Split(open_model(name), 1).consumer == "llama@1"


def test_the_digest_is_that_of_the_weights_in_whatever_dtype_holds_them(tmp_path: Path) -> None:
    folder = tiny_models.language(tmp_path / "llama", "llama")
    loaded, wide = open_model(folder), open_model(folder, dtype="float32")
    assert loaded.digest == wide.digest
    assert weights_digest([loaded.model]) != weights_digest([wide.model])
    wide.model.get_parameter("model.norm.weight").data[3] *= 1.01
    assert loaded.digest != wide.digest


def test_a_metric_bears_the_digest_of_its_consumer(
    opened: LoadedModel, texts: list[ModelInput], tmp_path: Path
) -> None:
    metric = measure_metric(opened, cut_passages(opened, texts[:2], 8, 4), 1)
    assert metric.consumer_digest == opened.digest
    metric.save(tmp_path / "metric")
    loaded = ModelMetric.load(tmp_path / "metric")
    assert loaded.consumer_digest == opened.digest and loaded.digest == metric.digest
    options = Consumer.of_metric(loaded).codec_options()
    assert (options["consumer"], options["consumer_digest"]) == (metric.consumer, opened.digest)
    assert "consumer_digest" not in Consumer.of_metric(made("m@1", None)).codec_options()
    assert made("m@1", "one").digest != made("m@1", "other").digest


def test_pooled_consumers_are_told_apart_by_their_weights() -> None:
    pooled = made("m@1", "one") + made("m@1", "other") + made("m@1", "one") + made("n + o@2", "third")
    assert (pooled.consumer, pooled.consumer_digest) == ("m@1 + m@1 + n + o@2", "one + other + third")
    unknown = made("m@1", "one") + made("n@1", "other") + made("m@1", None)
    assert (unknown.consumer, unknown.consumer_digest) == ("m@1 + n@1", None)
    consumer = Consumer.pooled([Consumer.of_metric(made("m@1", digest)) for digest in ("one", "other")])
    assert (consumer.name, consumer.digest) == ("m@1 + m@1", "one + other")
    with pytest.raises(BadArgument, match="no consumer is named"):
        Consumer.pooled([])


def test_pooled_consumers_name_the_inputs_of_all() -> None:
    consumers = [
        replace(Consumer.of_metric(made(f"{name}@1", name)), learned_from=name[1:]) for name in ("m2", "n3", "o2")
    ]
    assert Consumer.pooled(consumers).learned_from == "2; 3"


def test_a_metric_that_was_measured_on_other_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metric"
    made("m@1", "one").save(path)
    assert Consumer.of_metric(made("m@1", "one")).kept_in(path).digest == "one"
    assert Consumer.of_metric(made("m@1", None)).kept_in(path).digest == "one"
    with pytest.raises(BadArgument, match=r"of m@1 that was measured on other weights: .* is one, not other") as caught:
        Consumer.of_metric(made("m@1", "other")).kept_in(path)
    assert "remove the file" in caught.value.cure


def test_a_file_without_a_digest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metric"
    about = {"consumer": "m@1", "tokens": 10, "positions": 20, "rotary": {}}
    save_file({"a": torch.eye(2)}, path, {"model_metric": json.dumps(about)})
    assert ModelMetric.load(path).consumer_digest is None
    kept = Consumer.of_metric(made("m@1", "one")).kept_in(path)
    assert kept.digest is None and kept.measure().tokens == 10
    made("m@1", None).save(path)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["model_metric"]) == about
