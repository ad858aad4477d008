"""What `status` shows of the cluster: nodes, etcd's members, and when each certificate ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import Node, nodes
from groundplane.components.etcd.status import EtcdMember, member
from groundplane.components.etcd.views import views
from groundplane.errors import StepError, TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology

SOON: Final = timedelta(days=30)
"""How long before its end a certificate should have been renewed: what renews by itself does so long before."""

# kubeadm keeps client certificates inside kubeconfigs: they are taken out for openssl, certificates alone, never keys.
_CERTIFICATES = f"""
for file in $(find {paths.PKI} /etc/groundplane -name '*.crt' 2>/dev/null | sort) \\
    {paths.CLIENT} {paths.SERVING}; do
  [ -s "$file" ] && printf '%s|%s\\n' "$file" "$(openssl x509 -noout -enddate -in "$file" 2>/dev/null)"
done
for file in /etc/kubernetes/*.conf; do
  [ -s "$file" ] && data=$(sed -n 's/^ *client-certificate-data: //p' "$file") && [ -n "$data" ] &&
    printf '%s|%s\\n' "$file" "$(printf %s "$data" | base64 -d | openssl x509 -noout -enddate 2>/dev/null)"
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate on a machine and when it ends."""

    machine: str
    path: str
    ends: datetime

    @property
    def soon(self) -> bool:
        """Whether it ends soon, or has ended: then nothing has renewed it, and somebody has to."""
        return self.ends - datetime.now(UTC) < SOON

    @property
    def remedy(self) -> str:
        """What to do where it ends soon."""
        if self.path.endswith("ca.crt"):
            return (
                "an authority can't be renewed, and all that it signed ends with it: build another platform beside "
                "this one, from a file with another `name`, and move there"
            )
        if self.path in (paths.CLIENT, paths.SERVING):
            return (
                "the kubelet should have renewed it: `groundplane verify nodes renewal` tells whether it could; "
                "once it is over, `groundplane apply` gives the machine another"
            )
        return "`groundplane apply` renews it"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Those found, soonest end first; ``unreadable`` as ``PATH on MACHINE``; ``none``: machines without any;
    ``silent``: machines that didn't answer."""

    found: tuple[Certificate, ...]
    unreadable: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The cluster at a glance. ``problem`` says why there are no nodes to show; ``silent`` machines weren't asked."""

    nodes: tuple[Node, ...]
    etcd: tuple[EtcdMember, ...]
    certificates: tuple[Certificate, ...]
    silent: tuple[str, ...] = ()
    problem: str = ""


async def status(reach: Reach, topology: Topology) -> ClusterStatus:
    """Look at the cluster. Never raises for what doesn't answer: that is part of the status."""
    known, etcd, found = await asyncio.gather(
        _nodes(reach, topology), views(reach, topology), certificates(reach, topology)
    )
    return ClusterStatus(
        nodes=known if isinstance(known, tuple) else (),
        etcd=tuple(member(view) for view in etcd),
        certificates=found.found,
        silent=found.silent,
        problem="" if isinstance(known, tuple) else known,
    )


async def _nodes(reach: Reach, topology: Topology) -> tuple[Node, ...] | str:
    try:
        known = await nodes(reach, topology)
    except StepError as error:
        return error.what
    order = {machine.name: place for place, machine in enumerate(topology.machines)}
    return tuple(sorted(known.values(), key=lambda node: (order.get(node.name, len(order)), node.name)))


async def certificates(reach: Reach, topology: Topology) -> Certificates:
    """Every certificate on every machine."""
    answers = await asyncio.gather(*(_certificates(reach, machine) for machine in topology.machines))
    found = [entry for answer in answers for entry in answer.found]
    return Certificates(
        found=tuple(sorted(found, key=lambda entry: (entry.ends, entry.machine, entry.path))),
        unreadable=tuple(entry for answer in answers for entry in answer.unreadable),
        none=tuple(entry for answer in answers for entry in answer.none),
        silent=tuple(entry for answer in answers for entry in answer.silent),
    )


async def _certificates(reach: Reach, machine: Machine) -> Certificates:
    try:
        answer = await reach.run(machine.name, ("sh", "-c", _CERTIFICATES), timeout=30)
    except TransportError:
        return Certificates((), silent=(machine.name,))
    return parse_certificates(machine.name, answer.text)


def parse_certificates(machine: str, text: str) -> Certificates:
    """Read lines of ``PATH|notAfter=Nov 23 18:13:00 2027 GMT``; one without an end openssl couldn't read."""
    found, unreadable = [], []
    for line in text.splitlines():
        path, _, end = line.partition("|")
        if not end.startswith("notAfter="):
            unreadable.append(f"{path} on {machine}")
            continue
        ends = datetime.strptime(end.removeprefix("notAfter="), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        found.append(Certificate(machine, path, ends))
    return Certificates(tuple(found), tuple(unreadable), none=() if found or unreadable else (machine,))
