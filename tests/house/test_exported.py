"""`__all__` of every package is what the package offers: complete, sorted, and each name a thing and not its file."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ROOTS = (ROOT, ROOT / "codecs", ROOT / "catalog", ROOT / "tools")
PACKAGES = sorted(
    ".".join(init.parent.relative_to(top).parts)
    for top in ROOTS
    for init in top.glob("lamofc_*/**/__init__.py")
    if init.is_relative_to(top)
)


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then all else: the order that the linter keeps."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_packages_are_found() -> None:
    assert {"lamofc_store", "lamofc_store.sources", "lamofc_codecs", "lamofc_catalog"} <= set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_sorted_and_complete(name: str) -> None:
    package = import_module(name)
    exported = list(getattr(package, "__all__", []))
    assert exported == sorted(set(exported), key=order)
    if "__dir__" in vars(package):
        offered = {key for key in dir(package) if not key.startswith("_")}
    else:
        offered = {
            key
            for key, value in vars(package).items()
            if not key.startswith("_") and not isinstance(value, ModuleType) and key != "annotations"
        }
    assert {key for key in exported if not isinstance(getattr(package, key), ModuleType)} <= offered <= set(exported)


@pytest.mark.parametrize("name", PACKAGES)
def test_names_stay_what_they_are(name: str) -> None:
    """Loading a lazy name imports its file; a file of the same name would take the name's place at the second look."""
    package = import_module(name)
    exported = list(getattr(package, "__all__", []))
    first = {key: getattr(package, key) for key in exported}
    assert {key: getattr(package, key) for key in exported} == first


def checked_names(path: Path) -> dict[str, set[str]]:
    """Names by the package that they are imported from, as a type checker sees them."""
    tree = ast.parse(path.read_text())
    guards = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for guard in guards for node in guard.body if isinstance(node, ast.ImportFrom)]
    names: dict[str, set[str]] = {}
    for node in imports:
        assert all(alias.asname is not None for alias in node.names), ast.unparse(node)
        names.setdefault(str(node.module), set()).update(str(alias.asname) for alias in node.names)
    return names


def test_the_store_offers_type_checkers_what_it_offers_programs() -> None:
    package = import_module("lamofc_store")
    offered = {module: set(names.split()) for module, names in vars(package)["_PUBLIC"].items()}
    checked = checked_names(ROOT / "lamofc_store" / "__init__.py")
    assert checked.pop("lamofc_store.version") == {"__version__"}
    assert checked == offered
    assert set(package.__all__) == {name for names in offered.values() for name in names}
