"""What `validate` costs for files of 1 MiB that were made to be hard. Prints the dearest shapes; judges nothing.

    .venv/bin/python benchmarks/hostile.py [--runs 3] [--shapes WORD] [--all]

Each shape is one way of filling a file up to the limit: lines, nesting, aliases, faults of every rule, files of other
programs. The whole command is measured, from the interpreter's start to the last line of its output, each time in a
process of its own. Seconds are of processor time (user and system), so that a busy computer matters less; the fastest
run counts.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

LIMIT: Final = 2**20
LINES: Final = 49_000  # a little below what a file may have
GOALS: Final = (2.0, 200.0)
"""Seconds and MiB: what no shape may exceed."""

Shape = Callable[[], str]
HEAD: Final = "name: lab\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shapes", default="", help="only those with this word in their names")
    parser.add_argument("--all", action="store_true", help="show every shape, not only the twenty dearest")
    arguments = parser.parse_args()
    chosen = {name: shape for name, shape in SHAPES.items() if arguments.shapes in name}
    found = {}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "cluster.yaml"
        for name, shape in chosen.items():
            file.write_bytes(shape().encode())
            assert file.stat().st_size <= LIMIT, name
            runs = [validated(file) for _ in range(arguments.runs)]
            found[name] = (min(seconds for seconds, _ in runs), max(mebibytes for _, mebibytes in runs))
            print(f"{len(found)}/{len(chosen)} {name}: {found[name][0]:.2f} s", file=sys.stderr, flush=True)
    show(found, None if arguments.all else 20)


def validated(file: Path) -> tuple[float, float]:
    """Seconds of processor time and the most memory, in MiB, of one `groundplane validate`."""
    program = [sys.executable, "-c", "from groundplane.cli import main; main()", "validate", "--file", str(file)]
    with open(os.devnull, "rb+") as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), number) for number in (0, 1, 2)]
        pid = os.posix_spawn(program[0], program, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 2), f"{file} ended with {status}: neither valid nor refused"
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def show(found: Mapping[str, tuple[float, float]], shown: int | None) -> None:
    seconds, mebibytes = GOALS
    print(f"{'shape':44}{'processor, s':>14}{'memory, MiB':>14}")
    for name, (took, needed) in sorted(found.items(), key=lambda each: each[1], reverse=True)[:shown]:
        remark = "   too much" if took > seconds or needed > mebibytes else ""
        print(f"{name:44}{took:>14.2f}{needed:>14.0f}{remark}")
    most_seconds, most_memory = (max(values) for values in zip(*found.values(), strict=True))
    aim = f"   at most {seconds:g} s, {mebibytes:g} MiB"
    print(f"{f'the most of {len(found)} shapes':44}{most_seconds:>14.2f}{most_memory:>14.0f}{aim}")


# ---- making them ------------------------------------------------------------------------------------------------


def filled(pieces: Callable[[int], str], *, head: str = HEAD, foot: str = "", lines: int = LINES) -> str:
    """``head``, as many pieces as there is room for, ``foot``."""
    room, rows = LIMIT - len(head.encode()) - len(foot.encode()), lines - head.count("\n") - foot.count("\n")
    found: list[str] = []
    for number in count():
        piece = pieces(number)
        room -= len(piece.encode())
        rows -= piece.count("\n")
        if room < 0 or rows < 0:
            return head + "".join(found) + foot
        found.append(piece)
    raise AssertionError("there is always an end")


def repeated(piece: str, *, head: str = HEAD, foot: str = "") -> Shape:
    return lambda: filled(lambda _: piece, head=head, foot=foot)


def numbered(piece: str, *, head: str = HEAD, foot: str = "") -> Shape:
    """``piece`` with ``{n}`` replaced by 0, 1, 2, …, ``{ip}`` by an address and ``{mac}`` by a card's for each."""

    def at(number: int) -> str:
        ip = f"10.{80 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        mac = "52:54:00:" + ":".join(f"{number >> shift & 255:02x}" for shift in (16, 8, 0))
        return piece.replace("{n}", str(number)).replace("{ip}", ip).replace("{mac}", mac)

    return lambda: filled(at, head=head, foot=foot)


def machines(entry: str, *, lan: str = "10.80.0.0/12") -> Shape:
    """A list of machines: those there have to be, then as many ``entry`` as there is room for."""
    head = (
        f"name: lab\nnetwork: {{lan: {lan}}}\nmachines:\n- {{name: gateway, role: gateway}}\n"
        "- {name: lb1, role: balancer}\n- {name: cp1, role: control-plane}\n"
    )
    return numbered(entry, head=head)


def nested(opening: str, closing: str, depth: int) -> Shape:
    return lambda: filled(lambda _: f"- {opening * depth}{closing * depth}\n", head="name: lab\nx:\n")


def billion_laughs(width: int, depth: int) -> str:
    rows = ["name: lab\n", "a0: &a0 [x, x]\n"]
    rows += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]\n" for level in range(1, depth)]
    return "".join(rows)


def one_long(begin: str, piece: str, end: str = "\n") -> Shape:
    """One value that fills the file."""
    return lambda: begin + piece * ((LIMIT - len((begin + end).encode())) // len(piece.encode())) + end


def kubernetes_objects() -> str:
    piece = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n}}}\ndata: {{a: b}}\n"
    return filled(lambda number: piece.format(n=number), head="")


def random_walk(seed: int, alphabet: str) -> str:
    """The same every time, for the same ``seed``."""
    return HEAD + "".join(Random(seed).choices(alphabet, k=LIMIT - len(HEAD)))


ENTRY: Final = "- {name: w{n}, role: worker}\n"

SHAPES: Final[Mapping[str, Shape]] = {
    # What is right, or nearly.
    "machines, valid": machines(ENTRY),
    "machines, valid, in blocks": machines("- name: w{n}\n  role: worker\n"),
    "machines, all keys": machines(
        "- {name: w{n}, role: worker, mac: '{mac}', address: {ip}, size: {cpus: 1, memory: 2GiB}}\n"
    ),
    "machines, several roles": machines("- {name: w{n}, roles: [control-plane, worker]}\n"),
    "machines, two thousand digits in a name": machines("- {name: w{n}" + "0" * 2000 + ", role: worker}\n"),
    "machines in the whole of IPv4": machines(ENTRY, lan="0.0.0.0/0"),
    "machines in a /8": machines(ENTRY, lan="10.0.0.0/8"),
    "machines in a /24": machines(ENTRY, lan="10.80.0.0/24"),
    "machines of one name": machines("- {name: w, role: worker}\n"),
    "machines of one MAC": machines("- {name: w{n}, role: worker, mac: '52:54:00:00:00:01'}\n"),
    "machines of one address": machines("- {name: w{n}, role: worker, address: 10.80.0.99}\n"),
    "machines at addresses": machines("- {name: w{n}, role: worker, address: {ip}}\n"),
    "machines at addresses outside": machines("- {name: w{n}, role: worker, address: {ip}}\n", lan="192.0.2.0/24"),
    "machines too small": machines("- {name: w{n}, role: worker, size: {cpus: 1, memory: 1MiB}}\n"),
    "machines with odd MACs": machines("- {name: w{n}, role: worker, mac: '01:54:00:00:00:01'}\n"),
    "machines with names no host has": machines("- {name: 'W_{n}', role: worker}\n"),
    "machines with numbers for names": machines("- {name: {n}, role: worker}\n"),
    "machines named like remedies": machines("- {name: worker-{n}, role: worker}\n"),
    "machines, all control planes": machines("- {name: w{n}, role: control-plane}\n"),
    "machines, all balancers": machines("- {name: w{n}, role: balancer}\n"),
    "machines, all gateways": machines("- {name: w{n}, role: gateway}\n"),
    "machines with a role twice": machines("- {name: w{n}, roles: [worker, worker]}\n"),
    "machines of unknown roles": machines("- {name: w{n}, role: wrker}\n"),
    "machines without roles": machines("- {name: w{n}}\n"),
    "machines without names": machines("- {role: worker}\n"),
    "machines with a misspelt key": machines("- {name: w{n}, role: worker, adress: {ip}}\n"),
    "machines with keys of elsewhere": machines("- {name: w{n}, role: worker, lan: 10.0.0.0/8, version: 1}\n"),
    "machines, empty": machines("- {}\n"),
    "machines that are words": machines("- w{n}\n"),
    "machines that are nothing": machines("-\n"),
    "machines by aliases": repeated("- *w\n", head="name: lab\nx: &w {name: w, role: worker}\nmachines:\n"),
    "a fault in the first of many machines": lambda: machines(ENTRY)().replace("role: gateway", "role: gatway", 1),
    # Keys.
    "unknown keys": numbered("k{n}: 1\n"),
    "unknown keys, long": numbered("k{n}" + "x" * 200 + ": 1\n"),
    "unknown keys in a stanza": numbered("  k{n}: 1\n", head="name: lab\nnetwork:\n"),
    "unknown keys like known ones": numbered("network{n}: 1\n"),
    "unknown stanzas with known keys": numbered("k{n}: {lan: 10.0.0.0/8, workers: 3, version: 1}\n"),
    "a key again and again": repeated("name: lab\n"),
    "a stanza again and again": repeated("network: {lan: 10.80.0.0/24}\n"),
    "machines again and again": repeated("machines: [{name: w, role: worker}]\n"),
    "a key of each machine twice": machines("- {name: w{n}, name: v{n}, role: worker}\n"),
    "merge keys": numbered("k{n}: {<<: {a: 1}}\n"),
    "keys that are lists": numbered("? [{n}]\n: 1\n"),
    "keys that are mappings": numbered("? {a: {n}}\n: 1\n"),
    "tags": numbered("k{n}: !!str x\n"),
    "tags of one's own": numbered("k{n}: !mine{n} x\n"),
    "anchors": numbered("k{n}: &a{n} x\n"),
    "aliases": numbered("k{n}: *a\n", head="name: &a lab\n"),
    "aliases of nothing": numbered("k{n}: *b{n}\n"),
    "aliases that grow": lambda: billion_laughs(9, 40),
    "aliases that grow slowly": lambda: billion_laughs(2, 4000),
    # Forms.
    "blank lines": repeated("\n"),
    "comments": repeated("# x\n"),
    "comments, long": repeated("# " + "x" * 400 + "\n"),
    "comments behind values": numbered("k{n}: 1 # x\n"),
    "blanks": repeated(" " * 1000 + "\n"),
    "tabs": repeated("\t" * 1000 + "\n"),
    "tabs between": repeated("k:\t" + "\t" * 1000 + "1\n"),
    "one line": one_long(HEAD + "x: ", "y"),
    "one line of quotes": one_long(HEAD + "x: '", "''", "'\n"),
    "one line of escapes": one_long(HEAD + 'x: "', "\\n", '"\n'),
    "one line of wide escapes": one_long(HEAD + 'x: "', "\\U0001F600", '"\n'),
    "one line of half characters": one_long(HEAD + 'x: "', "\\uD800", '"\n'),
    "one line of words": one_long(HEAD + "x: ", "y "),
    "one line of commas": one_long(HEAD + "x: [", "y,", "]\n"),
    "one line of brackets": one_long(HEAD + "x: ", "["),
    "one line of braces": one_long(HEAD + "x: ", "{"),
    "one line of dashes": one_long(HEAD + "x:\n", "- "),
    "one line of question marks": one_long(HEAD, "? "),
    "one line of colons": one_long(HEAD + "x", ": "),
    "one line of colons without blanks": one_long(HEAD + "x: ", ":"),
    "one line of hashes": one_long(HEAD + "x: ", "#"),
    "one line of stars": one_long(HEAD + "x: ", "*"),
    "one line of wide characters": one_long(HEAD + "x: ", "\U0001f600"),
    "one line of no-break spaces": one_long(HEAD + "x: y", "\u00a0"),
    "one quote that is never closed": one_long(HEAD + 'x: "', "y\n"),
    "one name": one_long("name: ", "a"),
    "one key": one_long(HEAD, "k", ": 1\n"),
    "one address": one_long(HEAD + "network: {lan: ", "1", "}\n"),
    "one number": one_long(HEAD + "machines: {workers: ", "9", "}\n"),
    "one number with a fraction": one_long(HEAD + "sizes: {worker: {cpus: 1.", "9", "}}\n"),
    "one memory": one_long(HEAD + "sizes: {worker: {memory: ", "9", "GiB}}\n"),
    "one domain": one_long(HEAD + "network: {domain: ", "a.", "b}\n"),
    "one mirror": one_long(HEAD + "software: {debian: {mirror: 'http://", "a", "'}}\n"),
    "one version": one_long(HEAD + "software: {kubernetes: '", "1.", "'}\n"),
    "a block of text": repeated("  y\n", head="name: lab\nx: |\n"),
    "a folded block of text": repeated("  y\n\n", head="name: lab\nx: >\n"),
    "a value of many lines": repeated("  y\n", head="name: lab\nx: y\n"),
    "a quoted value of many lines": repeated("  y\n", head='name: lab\nx: "y\n', foot='"\n'),
    "lists in lists": nested("[", "]", 28),
    "mappings in mappings": nested("{a: ", "}", 28),
    "blocks in blocks": lambda: filled(
        lambda _: "".join(" " * depth + "k:\n" for depth in range(1, 28)), head="name: lab\nx:\n"
    ),
    "documents": repeated("---\nname: lab\n"),
    "documents of nothing": repeated("---\n"),
    "documents' ends": repeated("...\n"),
    "directives": repeated("%YAML 1.2\n", head=""),
    "tag directives": numbered("%TAG !e{n}! tag:x,2000:\n", head="", foot="---\nname: lab\n"),
    "JSON": lambda: '{"name": "lab", "x": [' + ",".join(f'"{n}"' for n in range(29_000)) + "]}\n",
    "random brackets": lambda: random_walk(1, "[]{},: \n"),
    "random indentation": lambda: random_walk(2, "  \nab:-"),
    "random signs": lambda: random_walk(3, "!&*|>%@`'\"#?-: \n"),
    # Lists where a single value belongs, and the reverse.
    "name servers": numbered("{ip}, ", head="name: lab\nnetwork: {uplink: {nameservers: [", foot="]}}\n"),
    "name servers, wrong": numbered("x{n}, ", head="name: lab\nnetwork: {uplink: {nameservers: [", foot="]}}\n"),
    "roles of one machine": repeated("worker, ", head="name: lab\nmachines: [{name: w, roles: [", foot="]}]\n"),
    "a list for a name": numbered("- {n}\n", head="name:\n"),
    "a mapping for a name": numbered("  k{n}: 1\n", head="name:\n"),
    "a mapping for machines": numbered("  w{n}: {role: worker}\n", head="name: lab\nmachines:\n"),
    "counts of unknown roles": numbered("  role{n}: 3\n", head="name: lab\nmachines:\n"),
    "counts, very great": lambda: "name: lab\nnetwork: {lan: 0.0.0.0/0}\nmachines: {workers: 999999999}\n",
    "counts, great": lambda: "name: lab\nnetwork: {lan: 10.0.0.0/8}\nmachines: {workers: 4000}\n",
    # Files of others.
    "Kubernetes objects": kubernetes_objects,
    "an inventory": numbered("host{n} ansible_host={ip}\n", head="[all]\n"),
    "an inventory in YAML": numbered("    node{n}: {ansible_host: {ip}}\n", head="all:\n  hosts:\n"),
    "kind": numbered("- role: worker\n", head="kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n"),
    "k0sctl": numbered(
        "  - {role: worker, ssh: {address: {ip}, user: root}}\n",
        head="apiVersion: k0sctl.k0sproject.io/v1beta1\nkind: Cluster\nspec:\n  hosts:\n",
    ),
    "Talos": numbered("  - {network: x{n}}\n", head="version: v1alpha1\nmachine:\n  certSANs:\n"),
    "compose": numbered("  s{n}: {image: x}\n", head="services:\n"),
}


if __name__ == "__main__":
    main()
