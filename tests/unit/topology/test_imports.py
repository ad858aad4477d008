"""Checking a file shall start at once: what is heavy is imported where it is used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import groundplane

HEAVY = {"asyncio", "cryptography", "httpx", "jinja2", "rich", "ruamel", "typer"}
ROOT = Path(groundplane.__file__).parent
MODULES = sorted([*(ROOT / "spec").rglob("*.py"), *(ROOT / "topology").rglob("*.py")])


def _imported(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_heavy_at_import(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        assert not _imported(node) & HEAVY


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_ssh_library_is_loaded_by_who_connects(path: Path) -> None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        assert "asyncssh" not in _imported(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """``spec`` knows nothing of ours but errors and what software there is, ``topology`` only ``spec`` besides."""
    room = path.relative_to(ROOT).parts[0]
    allowed = {"spec": ("errors", "software", "spec"), "topology": ("errors", "software", "spec", "topology")}[room]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("groundplane."):
            assert (node.module or "").split(".")[1] in allowed
