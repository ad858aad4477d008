"""What Pacemaker says of the floating address, read from ``crm_mon``'s XML (crm_mon(8), ``--output-as=xml``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from groundplane.errors import TransportError
from groundplane.state.step import Reach
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet

ADDRESS_RESOURCE = "floating-address"


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster as one balancer's Pacemaker sees it. ``holders`` are the balancers on which it runs the floating
    address, ``haproxy_on`` those with HAProxy; ``failures`` are failed actions in words. ``leader`` is Pacemaker's DC:
    the one that decides for all, empty while they elect it. ``features`` are the versions of what each balancer that is
    online understands, as numbers; () for one that doesn't say."""

    quorate: bool
    online: tuple[str, ...]
    holders: tuple[str, ...]
    haproxy_on: tuple[str, ...]
    failures: tuple[str, ...]
    leader: str = ""
    features: tuple[tuple[int, ...], ...] = ()

    @property
    def holder(self) -> str | None:
        """Who holds the floating address; None when nobody does, or more than one."""
        return self.holders[0] if len(self.holders) == 1 else None


def parse(text: str) -> ClusterView:
    """Parse ``crm_mon``'s XML; ``NotYet`` when it is none or shows no cluster."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise NotYet("Pacemaker's status can't be read") from error
    dc = root.find("summary/current_dc")
    if dc is None:
        raise NotYet("Pacemaker isn't ready")
    return ClusterView(
        quorate=dc.get("with_quorum") == "true",
        online=tuple(
            node.get("name", "")
            for node in root.findall("nodes/node")
            if node.get("online") == "true" and node.get("standby") != "true"
        ),
        holders=_nodes_of(root, ADDRESS_RESOURCE),
        haproxy_on=_nodes_of(root, "haproxy"),
        failures=tuple(
            f"{item.get('op_key', item.get('task', '?'))} on {item.get('node', '?')}: "
            f"{item.get('exitreason') or item.get('exitstatus', '?')}"
            for item in root.findall("failures/failure")
        ),
        leader=dc.get("name", ""),
        features=tuple(
            tuple(int(part) for part in re.findall(r"\d+", node.get("feature_set", "")))
            for node in root.findall("nodes/node")
            if node.get("online") == "true"
        ),
    )


def _nodes_of(root: ElementTree.Element, resource: str) -> tuple[str, ...]:
    return tuple(
        sorted(
            node.get("name", "")
            for item in root.iter("resource")
            if item.get("id", "").partition(":")[0] == resource and item.get("role") in ("Started", "Stopping")
            for node in item.findall("node")
        )
    )


async def seen_by(reach: Reach, balancer: str) -> ClusterView:
    """The cluster as ``balancer`` sees it. Raises ``TransportError`` or ``NotYet``."""
    answer = await reach.run(balancer, ["crm_mon", "--one-shot", "--output-as=xml"], timeout=20)
    return parse(answer.text)


async def glance(reach: Reach, topology: Topology) -> ClusterView | None:
    """The cluster as the first balancer that has a majority sees it; None when none does."""
    for machine in topology.balancers:
        try:
            view = await seen_by(reach, machine.name)
        except (TransportError, NotYet):
            continue
        if view.quorate:
            return view
    return None


async def holder(reach: Reach, topology: Topology) -> str | None:
    """Which balancer holds the floating address; None when none does, or when none that has a majority answers."""
    view = await glance(reach, topology)
    return view.holder if view is not None else None
