"""One function measures the metric of every kind of consumer, and says why others have none."""

from dataclasses import replace
from typing import Any, cast

import pytest

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer import cut_passages, measure_consumer, measure_metric
from lamofc_tools.models import LoadedModel, ModelInput, model_kind

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


def test_a_decoder_is_measured_on_prefixes_and_continuations(opened: LoadedModel, texts: list[ModelInput]) -> None:
    found = measure_consumer(opened, texts[:2], 1, prefix=8, continuation=4, seed=3)
    assert found.digest == measure_metric(opened, cut_passages(opened, texts[:2], 8, 4), 1, seed=3).digest


def test_what_has_no_metric_is_said(opened: LoadedModel, texts: list[ModelInput]) -> None:
    with pytest.raises(BadArgument, match="without a block"):
        measure_consumer(opened, texts)
    with pytest.raises(BadArgument, match="a dict as a consumer") as caught:
        measure_consumer(cast(Any, {}), texts, 1)
    assert "Kimi-Audio" in caught.value.cure
    with pytest.raises(BadArgument, match="over 0 inputs"):
        measure_consumer(replace(opened, kind=model_kind("vit")), [], 1)
    with pytest.raises(BadArgument, match="which reads no texts"):
        cut_passages(replace(opened, kind=model_kind("vit")), texts)
