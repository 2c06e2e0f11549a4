"""The machine that is measured on: its speed in bfloat16, and the warning that follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

import lamofc_store
from lamofc_store import Sample
from lamofc_tools.machine import is_slow_in_bfloat16

Lamofc: TypeAlias = Callable[..., Any]


@pytest.fixture(autouse=True)
def measured_anew() -> None:
    is_slow_in_bfloat16.cache_clear()


def test_a_device_that_is_slower_in_bfloat16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 3.0, 1.0, 1.5])
    monkeypatch.setattr("lamofc_tools.machine.median_seconds", lambda work, rounds: next(seconds))
    assert is_slow_in_bfloat16("cpu")
    is_slow_in_bfloat16.cache_clear()
    assert not is_slow_in_bfloat16("cpu")
    assert not is_slow_in_bfloat16("cuda:0")


@pytest.mark.parametrize("slow", [False, True])
def test_training_in_bfloat16_warns_where_that_is_slower(
    slow: bool, lamofc: Lamofc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lamofc_tools.machine.is_slow_in_bfloat16", lambda device: slow)
    noise = torch.Generator().manual_seed(0)
    with lamofc_store.create(tmp_path / "store") as store:
        store.ingest(
            [Sample(f"{n}", {"x": torch.randn(4, 8, generator=noise) + n % 2}, {"label": n % 2}) for n in range(12)],
            codec="raw",
        )
    command = ("train", "linear", tmp_path / "store", "-o", tmp_path / "head.safetensors", "--device", "cpu")
    said = "warning: this processor is slower in bfloat16 than in float32: leave out --half"
    ran = lamofc(*command, "--half")
    assert ran.code == 0, ran.err
    assert (said in ran.err) == slow
    assert said not in lamofc(*command).err
