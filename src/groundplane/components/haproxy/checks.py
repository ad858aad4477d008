"""How we know that HAProxy does its work: each one that should run sees every API server up."""

from __future__ import annotations

from groundplane.components.base import Published, Publishing
from groundplane.components.everywhere import everywhere
from groundplane.components.haproxy.fragment import ADMIN_SOCKET
from groundplane.components.haproxy.stats import Server, servers
from groundplane.components.pacemaker.status import holder
from groundplane.spec.model import Standby
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

_CURL = ("curl", "--silent", "--show-error", "--max-time", "5", "--cacert", "/dev/stdin")
_LARGE = 16 * 1024
"""Bytes that go with a question."""


def checks(published: Publishing, topology: Topology) -> tuple[Check, ...]:
    return (
        Check(
            name="haproxy-backends",
            title="HAProxy sees every API server ready, over verified TLS",
            deadline=RECOVERY,
            remedy="ask the API server named for /readyz?verbose; see `journalctl -u haproxy` on the balancer",
            probe=lambda reach: _backends(reach, topology, published(topology)),
        ),
        Check(
            name="api-reachable",
            title="Every machine reaches the API by its name, over verified TLS",
            deadline=RECOVERY,
            remedy="`groundplane verify floating-address haproxy-backends names` tells which part of the way fails",
            probe=lambda reach: _reachable(reach, topology),
        ),
    )


async def _backends(reach: Reach, topology: Topology, services: tuple[Published, ...]) -> str:
    running = await _expected_balancers(reach, topology)
    for balancer in running:
        seen = await view(reach, balancer, services)
        for service in services:
            _all_up(balancer, service, seen[service.backend])
    names = ", ".join(balancer.name for balancer in running)
    ups = ", ".join(f"{len(service.servers)} {service.backend} up on port {service.port}" for service in services)
    return f"{names}: {ups}"


def _all_up(balancer: Machine, service: Published, seen: tuple[Server, ...]) -> None:
    if {server.name for server in seen} != {machine.name for machine in service.servers}:
        raise NotYet(f"{balancer.name} balances {', '.join(server.name for server in seen) or 'nothing'}")
    down = [f"{server.name} {server.status} ({server.check})" for server in seen if not server.up]
    if down:
        raise NotYet(f"{balancer.name} sees {', '.join(down)}")


async def _reachable(reach: Reach, topology: Topology) -> str:
    url = f"https://{topology.api_host}:{topology.api_port}/readyz"

    async def ask(machine: Machine) -> None:
        # Not every machine keeps the cluster's authority: it comes along, on standard input. Question and answer both
        # fill packets: a way on which only small ones come through is no way.
        answer = await reach.run(
            machine.name,
            ["curl", *_CURL, "--header", f"X-Padding: {_LARGE * '0'}", f"{url}?verbose"],
            stdin=topology.secrets.kubernetes_ca.certificate,
            timeout=10,
            check=False,
        )
        if answer.status != 0 or not answer.text.rstrip().endswith("readyz check passed"):
            raise NotYet(answer.text or answer.stderr.decode(errors="replace").strip() or f"status {answer.status}")

    return f"{await everywhere(topology.machines, ask)} machines reach {url}"


async def view(reach: Reach, balancer: Machine, services: tuple[Published, ...]) -> dict[str, tuple[Server, ...]]:
    """How ``balancer``'s HAProxy sees the servers of each backend. Raises ``TransportError`` when it doesn't run."""
    answer = await reach.run(
        balancer.name, ["socat", "-t", "5", "-", f"UNIX-CONNECT:{ADMIN_SOCKET}"], stdin=b"show stat\n", timeout=15
    )
    return {service.backend: servers(answer.text, service.backend) for service in services}


async def _expected_balancers(reach: Reach, topology: Topology) -> tuple[Machine, ...]:
    """The balancers whose HAProxy must run: all, or with a cold standby the one with the address alone."""
    if topology.spec.balancers.standby is Standby.HOT:
        return topology.balancers
    active = await holder(reach, topology)
    if active is None:
        raise NotYet("no balancer holds the floating address")
    return (topology.machine(active),)
