"""Scope: which error codes the server can send, read from its source: what is given wherever a `code` is taken."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("protocol", "realtime")

_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def codes() -> dict[str, str]:
    """Each code and a place that sends it. Raises ValueError for a `code` that cannot be read off the source."""
    files = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    # the commands speak to people, without codes
    modules = {path: ast.parse(path.read_text()) for path in files if "commands" not in path.parts}
    takers: dict[str, set[int]] = {}
    for tree in modules.values():
        for name, place in _takers(tree):
            takers.setdefault(name, set()).add(place)
    found: dict[str, str] = {}
    for path, tree in modules.items():
        for line, code in _given(tree, takers):
            if not _CODE.fullmatch(code):
                continue  # said to a log, or a person
            found.setdefault(code, f"{path.relative_to(ROOT)}:{line}")
    return found


def _takers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Functions and classes that take a code (a string named `code`), and which of their arguments it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            made = next((one for one in node.body if isinstance(one, _Function) and one.name == "__init__"), None)
            fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
            places = _places(made) if made else [(ast.unparse(one.target), one.annotation) for one in fields]
        elif isinstance(node, _Function) and node.name != "__init__":
            places = _places(node)
        else:
            continue
        yield from ((node.name, at) for at, (name, kind) in enumerate(places) if name == "code" and _is_text(kind))


def _places(function: _Function) -> list[tuple[str, ast.expr | None]]:
    """Its arguments as a caller counts them."""
    return [(one.arg, one.annotation) for one in function.args.args if one.arg not in ("self", "cls")]


def _is_text(annotation: ast.expr | None) -> bool:
    said = "" if annotation is None else ast.unparse(annotation)
    return "str" in said or "Literal['" in said or said == "RefusalReason"


def _given(tree: ast.Module, takers: dict[str, set[int]]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "code":  # one of those its Literal lists
            literals = (one.value for one in ast.walk(node.annotation) if isinstance(one, ast.Constant))
            yield from ((node.lineno, one) for one in literals if isinstance(one, str))
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [word.value for word in node.keywords if word.arg == "code" and name in takers]
        given += [node.args[at] for at in takers.get(name, ()) if at < len(node.args)]
        for expression in given:
            yield from ((node.lineno, code) for code in _values(expression, tree))


def _values(expression: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The texts that an expression can be; none for one that was handed on, and is read where it was given first."""
    match expression:
        case ast.Constant(str() as text):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _values(body, tree)
            yield from _values(orelse, tree)
        case ast.Dict(values=values):
            for value in values:
                yield from _values(value, tree)
        case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, default]):
            yield from _values(table, tree)
            yield from _values(default, tree)
        case ast.Subscript(value=table):
            yield from _values(table, tree)
        case ast.Name(name):
            yield from _assigned(name, tree)
        case ast.Attribute():
            pass
        case _:
            raise ValueError(f"a code in line {expression.lineno} is none that can be read: {ast.unparse(expression)}")


def _assigned(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            yield from _values(node.value, tree)
