"""What an import costs: asked in a fresh process, since this one has everything loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORBIDDEN = {
    "lamofc_catalog": "torch zarr",
    "lamofc_store": "torch typer transformers ray compressai matplotlib duckdb zarr pyarrow",
    "lamofc_store.sources": "torch pyarrow",
    "lamofc_store.sample": "torch einops",
    "lamofc_codecs": "compressai triton imageio_ffmpeg transformers typer zarr",
}


@pytest.mark.parametrize("module", FORBIDDEN)
def test_importing_loads_no_more_than_it_must(module: str, root: Path) -> None:
    code = f"import sys, {module}; print(*sorted(name for name in sys.modules if '.' not in name))"
    roots = os.pathsep.join(str(root / folder) for folder in (".", "codecs", "catalog", "tools"))
    env = os.environ | {"PYTHONPATH": roots}
    asked = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    loaded = set(asked.stdout.split())
    assert module.split(".", maxsplit=1)[0] in loaded
    assert not loaded & set(FORBIDDEN[module].split())
