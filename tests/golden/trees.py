"""Trees of files as mappings from relative path to content: rendering, reading, writing and comparing them."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Mapping
from pathlib import Path

from groundplane.cloudinit import render_tree
from groundplane.design import design
from groundplane.topology.model import Topology

Tree = Mapping[str, bytes]


def rendered(topology: Topology, *, show_secrets: bool = False) -> Tree:
    """What ``groundplane render`` writes for the platform: all components of the catalogue, all machines."""
    states = {state.machine: state for state in design(topology).states}
    return render_tree(topology, states, show_secrets=show_secrets)


def read(folder: Path) -> Tree:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write(folder: Path, tree: Tree) -> None:
    """Make ``folder`` hold exactly ``tree``."""
    if folder.exists():
        shutil.rmtree(folder)
    for path, content in tree.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def differences(kept: Tree, made: Tree) -> list[str]:
    """One entry per path that differs: gone, new, or a diff of its text. Empty when both are the same."""
    found = [f"{path}: is no longer made" for path in sorted(kept.keys() - made.keys())]
    found += [f"{path}: is new" for path in sorted(made.keys() - kept.keys())]
    for path in sorted(kept.keys() & made.keys()):
        if kept[path] != made[path]:
            found.append(_diff(path, kept[path], made[path]))
    return found


def _diff(path: str, kept: bytes, made: bytes) -> str:
    old, new = (content.decode(errors="backslashreplace").splitlines() for content in (kept, made))
    return "\n".join(difflib.unified_diff(old, new, f"kept {path}", f"made {path}", lineterm="", n=1))
