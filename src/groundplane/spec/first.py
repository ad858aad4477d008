"""A first cluster file: what to propose for this computer, and the text with its comments. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from groundplane.spec.model import ClusterSpec, Counts, NodeSize, ServiceSize

FULL: Final = 8 << 30
"""Bytes of memory from which on a computer is proposed the whole platform: idle, it takes 2.3 GiB."""
_POOL: Final = 4  # a LAN's last quarter is for strangers
_BEFORE_WORKERS: Final = 51  # addresses of a /24 that are gateway's, balancers' and control planes'
_PLAIN: Final = re.compile(r"[a-z][a-z0-9-]*|[0-9]+\.[0-9]+\.[0-9]+")
_OTHER_MEANINGS: Final = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # in YAML 1.1 or 1.2


@dataclass(frozen=True, slots=True)
class First:
    """What a first file for a lab states. All else has defaults."""

    name: str
    lan: IPv4Network
    kubernetes: str
    balancers: int = 2
    control_planes: int = 3
    workers: int = 2

    def text(self) -> str:
        """The file. That it is valid only ``load`` can tell."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield "# `groundplane explain` tells every key, `groundplane validate` checks this file and touches nothing."
        yield ""
        yield _remarked(f"name: {_scalar(self.name)}", "several platforms can live side by side, each by its name")
        yield _remarked("provider: lab", "machines are system containers of this computer, in a network of their own")
        yield ""
        yield "network:"
        yield _remarked(f"  lan: {self.lan}", "nothing outside the lab sees this range")
        yield ""
        yield "kubernetes:"
        yield _remarked(f"  version: {_scalar(self.kubernetes)}", "`groundplane explain versions` lists all")
        if (pods := self._pods()) is not None:
            yield _remarked(f"  pods: {pods}", "a /24 of it per node")
        yield ""
        if self.balancers == 1:
            yield "balancers:"
            yield _remarked("  accept-single-point-of-failure: true", "when the one balancer fails, the API is gone")
            yield ""
        yield "machines:"
        yield _remarked("  gateway: 1", "DHCP, DNS, time, the image registry")
        yield _remarked(f"  balancer: {self.balancers}", "they share the floating address of the API")
        yield _remarked(f"  control-plane: {self.control_planes}", "odd: a majority must be left when one fails")
        yield _remarked(f"  worker: {self.workers}", "where your pods run")
        yield ""
        service, node = ServiceSize(), NodeSize()
        yield "# What each machine may use at most; these are the defaults. `groundplane apply` changes them later."
        yield "sizes:"
        for role, size in (("gateway", service), ("balancer", service), ("control-plane", node), ("worker", node)):
            yield f"  {role}: {{cpus: {size.cpus:g}, memory: {size.memory}}}"

    def _pods(self) -> IPv4Network | None:
        """The range of the pods, where the default has too few for so many nodes."""
        usual, nodes = ClusterSpec(name="x").kubernetes.pods, self.control_planes + self.workers
        prefix = 24 - (max(nodes, 1) - 1).bit_length()
        return usual.supernet(new_prefix=prefix) if prefix < usual.prefixlen else None


def counts_for(memory: int) -> Counts:
    """The machines to propose for a computer of ``memory`` bytes: enough that any one may fail, or one of each role."""
    small = {"balancer": 1, "control-plane": 1, "worker": 1}
    return Counts() if memory >= FULL else Counts.model_validate(small)


def lan_for(workers: int, used: Sequence[IPv4Network]) -> IPv4Network | None:
    """A range with room for that many workers that has no address in common with ``used``, nor with the defaults of
    pods and Services; None where there is none."""
    prefix = 24
    while 2 ** (32 - prefix) * (_POOL - 1) // _POOL - _BEFORE_WORKERS < workers and prefix > 16:
        prefix -= 1
    defaults = ClusterSpec(name="x")
    taken = (*used, defaults.kubernetes.pods, defaults.kubernetes.services)
    return next((lan for lan in _candidates(prefix) if not any(lan.overlaps(other) for other in taken)), None)


def networks_in(routes: str) -> tuple[IPv4Network, ...]:
    """The networks that this computer's routing table names, but for the way to everywhere else.

    ``routes`` is the text of /proc/net/route: addresses and masks are hexadecimal numbers in the byte order of the
    processor, of which little-endian is the one there is.
    """
    found = []
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[7] == "00000000":
            continue
        address, mask = (bytes.fromhex(fields[place])[::-1] for place in (1, 7))
        prefix = int.from_bytes(mask).bit_count()
        found.append(IPv4Network((int.from_bytes(address), prefix), strict=False))
    return tuple(found)


def name_for(taken: Sequence[str]) -> str:
    """``lab``, or ``lab2`` and so on where platforms of these names are there."""
    return next(name for name in ("lab", *(f"lab{number}" for number in range(2, len(taken) + 3))) if name not in taken)


def _candidates(prefix: int) -> Iterator[IPv4Network]:
    yield from (IPv4Network(f"10.{number}.0.0/{prefix}") for number in (*range(80, 96), *range(97, 244)))
    yield from (IPv4Network(f"172.{number}.0.0/{prefix}") for number in range(31, 15, -1))
    yield from IPv4Network("192.168.0.0/16").subnets(new_prefix=prefix)


def _scalar(text: str) -> str:
    """``text`` as YAML, quoted where it would be read as something else than a string."""
    return text if _PLAIN.fullmatch(text) and text not in _OTHER_MEANINGS else json.dumps(text)


def _remarked(line: str, remark: str) -> str:
    return f"{line:<36}  # {remark}"
