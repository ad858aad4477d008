"""How long machines take to come, go and be made anew, and what clients notice. Prints medians; judges nothing.

    sudo .venv/bin/python benchmarks/come_and_go.py [--runs 3] [--file examples/lab.yaml] [--replace lb1 cp1]

One platform of the file is built from nothing (bundle and image cached beforehand), in a folder of the benchmark's
own. Each run then adds a worker and takes it away again, adds two control planes (there may be no even number) and
takes them away again, both by a changed file and `apply`, and replaces each machine named. All times end with a green
verify of the whole platform. A file that lists its machines has only replacements. All along, a client on the LAN reads
an object by the floating address, each time over a new connection; what it didn't get is counted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from up import GROUNDPLANE, asked, table, timed

REPLACED = ("gateway", "lb1", "cp1", "worker1")
ASK = """
while :; do
  curl --silent --insecure --max-time 5 --cert client.pem --output /dev/null --write-out '%{http_code}\\n' "$1"
  sleep 0.1
done
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--file", type=Path, default=Path("examples/lab.yaml"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--replace", nargs="*", default=REPLACED)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="groundplane-bench-") as folder:
        work = Work(arguments.file, Path(folder))
        try:
            work.found["up, s"] = [timed("up", *work.options)]
            for number in range(arguments.runs):
                print(f"run {number + 1} of {arguments.runs}", file=sys.stderr)
                one_run(work, arguments.replace)
        finally:
            timed("down", "--yes", *work.options)
    print(f"{arguments.file}, runs: {arguments.runs}")
    table(list(work.found.items()))
    for words, values in work.failed.items():
        print(
            f"requests that failed, {words}: {statistics.median(values):g} ({', '.join(f'{one:g}' for one in values)})"
        )


class Work:
    """One platform, and what was measured on it by name."""

    def __init__(self, original: Path, folder: Path) -> None:
        self.document: Any = YAML().load(original.read_text())
        self.folder = folder
        self.found: dict[str, list[float]] = {}
        self.failed: dict[str, list[float]] = {}
        self.file = folder / "cluster.yaml"
        self.options = ["--file", str(self.file), "--state-dir", str(folder / "state")]
        self.write()

    @property
    def counted(self) -> bool:
        return isinstance(self.document["machines"], dict)

    def write(self) -> None:
        text = StringIO()
        YAML().dump(self.document, text)
        self.file.write_text(text.getvalue())

    def measure(self, words: str, *command: str) -> None:
        with self.client() as answers:
            self.found.setdefault(f"{words}, s", []).append(timed(*command, *self.options))
        assert len(answers) > 20, "it must have asked, or it proves nothing"
        self.failed.setdefault(words, []).append(sum(answer != "200" for answer in answers))

    @contextmanager
    def client(self) -> Iterator[list[str]]:
        """A client's answers, known at the end."""
        argv = [*GROUNDPLANE, "kubeconfig", *self.options]
        config = YAML(typ="safe").load(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
        user = config["users"][0]["user"]
        pair = (b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))
        (self.folder / "client.pem").write_bytes(b"".join(pair))
        address = asked("status", *self.options)["floating_address"]
        url = f"https://{address}:6443/api/v1/namespaces/kube-system"
        argv = ["nsenter", f"--net=/run/netns/gp-{self.document['name']}", "sh", "-c", ASK, "ask", url]
        answers: list[str] = []
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=self.folder) as asking:
            try:
                yield answers
            finally:
                asking.terminate()
                answers += asking.communicate()[0].splitlines()


def one_run(work: Work, replaced: Sequence[str]) -> None:
    for role, count in (("worker", 1), ("control-plane", 2)) if work.counted else ():
        for words, more in (("added", count), ("removed", -count)):
            work.document["machines"][role] += more
            work.write()
            work.measure(f"{count} {role} {words}", "apply", "--yes")
    for name in replaced:
        work.measure(f"{name} replaced", "replace", "--yes", name)


if __name__ == "__main__":
    main()
