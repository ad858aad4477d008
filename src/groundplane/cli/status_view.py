"""A platform's status, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

from groundplane.cli.output import Channel, columns, size

if TYPE_CHECKING:
    from groundplane.status import PlatformStatus

HEAD = ("", "MACHINE", "ROLE", "ADDRESS", "POWER", "MEMORY", "KUBERNETES", "ETCD")


def document(status: PlatformStatus) -> dict[str, object]:
    """See docs/json.md, groundplane/status/v1: the status's own fields."""
    return {"ok": status.ok, **{field.name: getattr(status, field.name) for field in fields(status)}}


def lines(status: PlatformStatus, channel: Channel) -> Iterator[str]:
    """The machines, then what they are together."""
    yield from columns(list(_machines(status, channel)), channel, head=HEAD)
    yield ""
    unknown = channel.style("unknown", "bad")
    facts = [
        ("floating address", f"{status.floating_address} on {status.floating_holder or unknown}"),
        ("quorum", status.quorum or unknown),
        ("etcd's leader", status.etcd_leader or unknown),
    ]
    if status.certificates:
        first = min(status.certificates, key=lambda certificate: certificate.ends)
        facts.append(("certificates", f"first to end: {first.path} on {first.machine}, {first.ends:%Y-%m-%d}"))
    yield from columns([(channel.style(name, "dim"), words) for name, words in facts], channel)
    if status.problem:
        yield f"{channel.mark(False)} {status.problem}"


def _machines(status: PlatformStatus, channel: Channel) -> Iterator[tuple[str, ...]]:
    nodes = {node.name: node for node in status.nodes}
    etcd = {member.machine: member for member in status.etcd}
    for machine in status.machines:
        node, member = nodes.get(machine.name), etcd.get(machine.name)
        version = "" if node is None else f"{node.version}{'' if node.ready else ', not ready'}"
        role = "" if member is None else member.problem or ("leader" if member.leader else "member")
        yield (
            channel.mark(machine.ready),
            channel.style(machine.name, "name"),
            machine.role,
            str(machine.address),
            machine.power,
            size(machine.memory_used) if machine.memory_used else "",
            version,
            role.splitlines()[0] if role else "",
        )
