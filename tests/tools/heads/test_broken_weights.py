"""Files of weights, and folders of models, whose content is broken or hostile."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lamofc_store.errors import BadArgument, first_line
from lamofc_tools.heads.published.final_norm import read_final_norm
from lamofc_tools.heads.published.transformers_folder import read_folder
from lamofc_tools.heads.published.weight_file import read_weights


def backbone(folder: Path, config: Any, **weights: torch.Tensor) -> Path:
    """A folder with the final norm of four channels."""
    norm = {"weight": torch.ones(4), "bias": torch.zeros(4)} | weights
    folder.mkdir()
    save_file({f"norm.{name}": tensor for name, tensor in norm.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


def test_a_final_norm_has_a_finite_epsilon(tmp_path: Path) -> None:
    assert read_final_norm(backbone(tmp_path / "good", {"layer_norm_eps": 0.5})).eps == 0.5
    for number, epsilon in enumerate((-1e-6, float("nan"), float("inf"), True, 10**400)):
        folder = backbone(tmp_path / str(number), {"layer_norm_eps": epsilon})
        with pytest.raises(BadArgument, match="holds no final norm: "):
            read_final_norm(folder)
    with pytest.raises(BadArgument, match="holds no final norm: maximum recursion depth"):
        read_final_norm(backbone(tmp_path / "deep", "[" * 100_000))


@pytest.mark.parametrize("bad", [torch.full((4,), torch.nan), torch.full((4,), torch.inf)])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: torch.Tensor) -> None:
    with pytest.raises(BadArgument, match=r"the weight norm\.bias holds values that are not finite"):
        read_final_norm(backbone(tmp_path / "backbone", {}, bias=bad))
    save_file({"weight": torch.ones(2, 8), "bias": bad[:2].clone()}, tmp_path / "head.safetensors")
    with pytest.raises(BadArgument, match=r"the weight bias of .*head\.safetensors holds values that are not finite"):
        read_weights(tmp_path / "head.safetensors", [4], None)


def test_complex_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2, 8), "bias": torch.ones(2, dtype=torch.complex64)}, tmp_path / "head.pth")
    with pytest.raises(BadArgument, match=r"the weight bias of .*head\.pth holds complex numbers"):
        read_weights(tmp_path / "head.pth", [4], None)


def test_a_deep_config_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(BadArgument, match="holds no model: maximum recursion depth"):
        read_folder(tmp_path)


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert first_line(KeyError()) == "KeyError"
    assert first_line(ValueError("one\ntwo")) == "one"
