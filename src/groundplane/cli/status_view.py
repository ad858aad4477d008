"""A platform's status, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING

from groundplane.cli.output import Channel, columns, size

if TYPE_CHECKING:
    from groundplane.components.etcd.status import EtcdMember
    from groundplane.components.kubeadm.status import Certificate
    from groundplane.components.versions import Version
    from groundplane.status import PlatformStatus

HEAD = ("", "MACHINE", "ROLE", "ADDRESS", "POWER", "MEMORY", "KUBERNETES", "ETCD", "CERTIFICATES")


def document(status: PlatformStatus) -> dict[str, object]:
    """See docs/json.md, groundplane/status/v1: the status's own fields."""
    return {"ok": status.ok, **{field.name: getattr(status, field.name) for field in fields(status)}}


def lines(status: PlatformStatus, channel: Channel) -> Iterator[str]:
    """The machines, then what they are together."""
    yield from columns(list(_machines(status, channel)), channel, head=HEAD)
    yield ""

    def unknown(check: str, words: str = "unknown") -> str:
        return f"{channel.style(words, 'bad')}; `groundplane verify {check}` tells why"

    holder = status.floating_holder
    where = f" on {holder}" if holder else f", {unknown('floating-address', 'on nobody known')}"
    facts = [
        ("floating address", f"{status.floating_address}{where}"),
        ("quorum", status.quorum or unknown("quorum")),
        ("Pacemaker's leader", status.pacemaker_leader or unknown("pacemaker")),
        ("etcd's leader", status.etcd_leader or unknown("etcd")),
    ]
    if status.versions:
        facts.append(("versions", "; ".join(_versions(status.versions))))
    if status.certificates:
        first = min(status.certificates, key=lambda certificate: certificate.ends)
        facts.append(("certificates", f"first to end: {first.path} on {first.machine}, {first.ends:%Y-%m-%d}"))
    if status.strangers:
        names = ", ".join(f"{stranger.name} ({stranger.power})" for stranger in status.strangers)
        facts.append(("not in the file", f"{names}; `groundplane apply` removes what isn't"))
    if not status.verified:
        facts.append(
            ("checks", f"{channel.style('not all held', 'bad')} when last asked; `groundplane verify` asks them")
        )
    yield from columns([(channel.style(name, "dim"), words) for name, words in facts], channel)
    for problem, remedy in (*_votes(status), *_alarms(status.etcd), *_ends(status.certificates), *_unaccounted(status)):
        yield f"{channel.mark(False)} {problem}"
        yield f"    {channel.style('next:', 'hint')} {remedy}"
    for machine in status.machines:
        if machine.failed:
            units = ", ".join(machine.failed)
            yield f"{channel.mark(False)} {machine.name}: {units} failed; `groundplane apply` mends it"
    if status.problem:
        yield f"{channel.mark(False)} {status.problem}"


def _votes(status: PlatformStatus) -> Iterator[tuple[str, str]]:
    if status.quorum_problem:
        yield (
            f"quorum: {status.quorum_problem}",
            "`groundplane apply` starts what was stopped; else see `journalctl -u corosync -u corosync-qdevice` there",
        )


def _unaccounted(status: PlatformStatus) -> Iterator[tuple[str, str]]:
    """Machines that run and show no certificate, and nodes that are no machines."""
    running = {machine.name for machine in status.machines if machine.power == "running"}
    if silent := [name for name in status.bare if name in running]:
        yield (
            f"no certificate was shown by {', '.join(silent)}",
            "`groundplane verify certificates` tells whether it doesn't answer or has none",
        )
    for name in status.foreign_nodes:
        yield (
            f"the node {name} is no machine of the platform",
            f"`groundplane kubectl -- delete node {name}` removes it",
        )


def _alarms(members: Sequence[EtcdMember]) -> Iterator[tuple[str, str]]:
    """What etcd's members report that somebody must act on, and how; one alarm is every member's, and told once."""
    told = {member.remedy: member for member in reversed(members) if member.remedy}
    for remedy, member in told.items():
        yield f"etcd on {member.machine}: {member.problem}", remedy


def _ends(certificates: Sequence[Certificate]) -> Iterator[tuple[str, str]]:
    """Certificates that nothing renewed in time, those with one remedy together, and what to do."""
    soon = [certificate for certificate in certificates if certificate.soon]
    for remedy in dict.fromkeys(certificate.remedy for certificate in soon):
        alike = [certificate for certificate in soon if certificate.remedy == remedy]
        first = min(alike, key=lambda certificate: certificate.ends)
        more = f", and {len(alike) - 1} more end soon" if len(alike) > 1 else ""
        yield f"{first.path} on {first.machine} ends {first.ends:%Y-%m-%d}{more}", remedy


def _machines(status: PlatformStatus, channel: Channel) -> Iterator[tuple[str, ...]]:
    nodes = {node.name: node for node in status.nodes}
    etcd = {member.machine: member for member in status.etcd}
    ends = _first_ends(status.certificates)
    for machine in status.machines:
        node, member = nodes.get(machine.name), etcd.get(machine.name)
        version = "" if node is None else f"{node.version}{'' if node.ready else ', not ready'}"
        role = "" if member is None else member.problem or ("leader" if member.leader else "member")
        yield (
            channel.mark(machine.ready and not machine.failed),
            channel.style(machine.name, "name"),
            ", ".join(machine.roles),
            str(machine.address),
            machine.power,
            size(machine.memory_used) if machine.memory_used else "",
            version,
            role.splitlines()[0] if role else "",
            f"until {ends[machine.name]:%Y-%m-%d}" if machine.name in ends else "",
        )


def _first_ends(certificates: Sequence[Certificate]) -> dict[str, datetime]:
    """When the first certificate of each machine ends."""
    soonest = sorted(certificates, key=lambda certificate: certificate.ends, reverse=True)
    return {certificate.machine: certificate.ends for certificate in soonest}


def _versions(found: Sequence[Version]) -> Iterator[str]:
    """``etcd 3.7.3``, one for each program; where its machines differ, each version with those that have it."""
    for program in dict.fromkeys(version.program for version in found):
        where: dict[str, list[str]] = {}
        for version in found:
            if version.program == program:
                where.setdefault(version.version, []).append(version.machine)
        several = [f"{version} ({', '.join(machines)})" for version, machines in where.items()]
        yield f"{program} {next(iter(where)) if len(where) == 1 else ', '.join(several)}"
