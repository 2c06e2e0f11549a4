"""A file says one thing, a function fits on a screen. There is no list of exemptions."""

import ast
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 300
FUNCTION_LINES = 50
PARAMETERS = 6
KERNELS = {"compiled", "intrinsic", "triton.jit"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(trees: dict[str, ast.Module]) -> Iterator[tuple[str, Function]]:
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{path}:{node.lineno} {node.name}", node


def parameters(node: Function) -> int:
    """Those that can be passed by position; keyword-only ones are named where they are used.

    Kernels count none: what is compiled for a processor or a device takes arrays and numbers, no object that bundles
    them. A kernel is compiled by its decorator, or by the function that it is written in, an intrinsic.
    """
    if any(_name(decorator) in KERNELS for decorator in node.decorator_list):
        return 0
    given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return len(given) - (given[:1] in (["self"], ["cls"]))


def _name(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called)


def test_files_are_short(root: Path, trees: dict[str, ast.Module]) -> None:
    lengths = {path: len((root / path).read_text().splitlines()) for path in trees}
    assert not {path: lines for path, lines in lengths.items() if lines > FILE_LINES}


def test_functions_are_short(trees: dict[str, ast.Module]) -> None:
    lengths = {where: (node.end_lineno or 0) - node.lineno + 1 for where, node in functions(trees)}
    assert not {where: lines for where, lines in lengths.items() if lines > FUNCTION_LINES}


def test_functions_take_few_parameters(trees: dict[str, ast.Module]) -> None:
    counts = {where: parameters(node) for where, node in functions(trees)}
    assert not {where: count for where, count in counts.items() if count > PARAMETERS}


def test_the_rules_can_fail() -> None:
    body = "\n".join(["    pass"] * 50)
    tree = ast.parse(f"class A:\n  def f(self, a, b, c, d, e, f, g, *, h):\n{body}")
    ((_, node),) = functions({"x.py": tree})
    assert parameters(node) == 7
    assert (node.end_lineno or 0) - node.lineno + 1 == 51
