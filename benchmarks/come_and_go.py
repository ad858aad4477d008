"""How long machines take to come, go and be made anew. Prints medians; judges nothing.

    sudo .venv/bin/python benchmarks/come_and_go.py [--runs 3] [--file examples/lab.yaml] [--replace lb1 cp1]

One platform of the file is built from nothing (bundle and image cached beforehand), in a folder of the benchmark's
own. Each run then adds a worker and takes it away again, adds two control planes and takes them away again, both by
a changed file and `apply`, and replaces each machine named. All times end with a green verify of the whole platform.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from up import table, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--file", type=Path, default=Path("examples/lab.yaml"), help="one with counts of machines")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--replace", nargs="*", default=["gateway", "lb1", "cp1", "worker1"])
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="groundplane-bench-") as folder:
        file = Path(folder) / "cluster.yaml"
        options = ["--file", str(file), "--state-dir", str(Path(folder) / "state")]
        file.write_text(counted(arguments.file))
        try:
            found["up, s"] = [timed("up", *options)]
            for number in range(arguments.runs):
                print(f"run {number + 1} of {arguments.runs}", file=sys.stderr)
                one_run(arguments.file, file, options, arguments.replace, found)
        finally:
            timed("down", "--yes", *options)
    print(f"{arguments.file}, runs: {arguments.runs}")
    table(list(found.items()))


def one_run(
    original: Path, file: Path, options: Sequence[str], replaced: Sequence[str], found: dict[str, list[float]]
) -> None:
    for role, more in (("worker", 1), ("control-plane", 2)):
        for words, number in (("added", more), ("removed", 0)):
            file.write_text(counted(original, **{role: number}))
            found.setdefault(f"{more} {role} {words}, s", []).append(timed("apply", "--yes", *options))
    for name in replaced:
        found.setdefault(f"{name} replaced, s", []).append(timed("replace", "--yes", name, *options))


def counted(original: Path, **more: int) -> str:
    """The text of ``original`` with so many ``more`` machines of a role."""
    yaml = YAML()
    document: Any = yaml.load(original.read_text())
    for role, number in more.items():
        document["machines"][role] += number
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue()


if __name__ == "__main__":
    main()
