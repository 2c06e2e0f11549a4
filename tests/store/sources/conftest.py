"""What the tests of all sources share."""

from collections.abc import Callable

import pytest
import torch

from lamofc_store import sources
from lamofc_store.errors import SourceError


@pytest.fixture
def pair() -> dict[str, torch.Tensor]:
    """Two features of different shapes and types."""
    generator = torch.Generator().manual_seed(0)
    return {
        "layer.0": torch.randn(5, 4, generator=generator),
        "layer.1": torch.randn(3, generator=generator).bfloat16(),
    }


@pytest.fixture
def refused() -> Callable[..., SourceError]:
    """Open and read; the error must say the words and have a cure."""

    def check(what: object, words: str, **options: str) -> SourceError:
        with pytest.raises(SourceError) as caught:
            list(sources.open(what, **options))
        assert words in str(caught.value), str(caught.value)
        assert caught.value.cure
        return caught.value

    return check
