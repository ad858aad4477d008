"""Both sides of the gateway: what it serves on the LAN, and that the outer side stays silent."""

from __future__ import annotations

from groundplane.components.everywhere import everywhere, some
from groundplane.components.nftables.fragment import CONFIG, TABLE
from groundplane.components.nftables.sockets import WILDCARDS, Socket, sockets
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

_LISTENING = ["ss", "-H", "-l", "-n", "-t", "-u"]

_SERVICES = (
    ("udp", 53, "DNS"),
    ("tcp", 53, "DNS"),
    ("udp", 67, "DHCP"),
    ("udp", 123, "time"),
    ("tcp", 5000, "the image registry"),
)
_VOTE = ("tcp", 5403, "the quorum vote")

# Listens on every card where an image has it; the packet filter keeps the outer side from it.
_FILTERED = frozenset({("tcp", 22)})

_EPHEMERAL = 32768  # where Linux begins to take ports for questions (net.ipv4.ip_local_port_range)

OUTSIDE = "198.51.100.1"
"""An address of nobody's (RFC 5737, TEST-NET-2) …"""
OUTSIDE_NAME = "outside.example."
"""… and a name of nobody's (RFC 6761)."""


def checks(topology: Topology) -> tuple[Check, ...]:
    both = (_gateway_serves(topology), _outer_side_silent(topology))
    return both if topology.spec.network.uplink else (*both, _no_way_out(topology))


def _gateway_serves(topology: Topology) -> Check:
    services = (*_SERVICES, _VOTE) if topology.third_vote else _SERVICES

    async def probe(reach: Reach) -> str:
        listening = sockets((await reach.run(topology.gateway.name, _LISTENING, timeout=10)).text)
        missing = [
            f"{what} ({protocol} {port})"
            for protocol, port, what in services
            if not any(_serves_lan(topology, socket, protocol, port) for socket in listening)
        ]
        if missing:
            raise NotYet(f"nothing listens on the LAN for {', '.join(missing)}")
        return f"all {len(services)} services listen on {topology.lan.gateway}"

    return Check(
        name="gateway-serves",
        title="The gateway's services listen on the LAN",
        deadline=RECOVERY,
        remedy="on the gateway, `systemctl --failed` names what does not run and `journalctl -u NAME` says why",
        probe=probe,
    )


def _serves_lan(topology: Topology, socket: Socket, protocol: str, port: int) -> bool:
    card = topology.gateway.interface
    everywhere = socket.address in WILDCARDS and socket.device in ("", card)
    here = everywhere or socket.address == str(topology.lan.gateway)
    return here and (socket.protocol, socket.port) == (protocol, port)


def _outer_side_silent(topology: Topology) -> Check:
    gateway, card = topology.gateway.name, topology.gateway.outer_interface
    uplink = topology.spec.network.uplink
    outer_address = str(uplink.address.ip) if uplink else ""
    # A kubelet or HAProxy listens on every card, and a pod may: the packet filter keeps the outer side from them.
    shared = len(topology.gateway.roles) > 1

    async def probe(reach: Reach) -> str:
        chain = await reach.run(gateway, ["nft", "list", "chain", "inet", TABLE, "input"], timeout=10, check=False)
        if chain.status != 0 or "policy drop" not in chain.text:
            raise NotYet(f"the packet filter of {CONFIG} isn't loaded: {chain.stderr.decode(errors='replace').strip()}")
        if card in chain.text:
            raise NotYet(f"the packet filter has a rule that lets {card} in")
        listening = sockets((await reach.run(gateway, _LISTENING, timeout=10)).text)
        exposed = [
            str(socket)
            for socket in listening
            if socket.device == card
            or socket.address == outer_address
            or (socket.everywhere and not shared and not _harmless(socket))
        ]
        if exposed:
            raise NotYet(f"listens on the outer side: {some(exposed)}")
        return f"nothing listens on {card}, and the packet filter drops what comes in there"

    return Check(
        name="outer-side-silent",
        title="The gateway answers nobody on its outer side",
        deadline=RECOVERY,
        remedy="on the gateway, `systemctl reload nftables` loads the packet filter again, "
        "`ss -lntup` shows which service listens where",
        probe=probe,
    )


def _harmless(socket: Socket) -> bool:
    """Kept off by the packet filter, or a question under way: UDP has no listening state, and ss shows both."""
    asking = socket.protocol == "udp" and socket.port >= _EPHEMERAL
    return asking or (socket.protocol, socket.port) in _FILTERED


def _no_way_out(topology: Topology) -> Check:
    async def probe(reach: Reach) -> str:
        async def ask(machine: Machine) -> None:
            await _address_refused(reach, machine)
            await _name_refused(reach, machine)

        asked = await everywhere(topology.machines, ask)
        return f"{asked} machines are told at once that there is no way out"

    return Check(
        name="no-route-outside",
        title="Nothing leads out of a platform without an uplink",
        deadline=RECOVERY,
        remedy="on the machine, `ip route` shows the way it takes; on the gateway, `nft list ruleset` shows what is "
        "turned away. A machine with a second card may have found a way of its own",
        probe=probe,
    )


async def _address_refused(reach: Reach, machine: Machine) -> None:
    """NotYet unless the machine is turned away at once, in whatever way: an answer is wrong, and so is silence."""
    argv = ["nc", "-v", "-n", "-z", "-w", "3", OUTSIDE, "443"]
    answer = await reach.run(machine.name, argv, timeout=10, check=False)
    said = answer.stderr.decode(errors="replace").strip()
    if answer.status == 0:
        raise NotYet(f"reached {OUTSIDE}, which is outside")
    if "timed out" in said or "in progress" in said:
        raise NotYet(f"got no answer when it tried {OUTSIDE}; it should be turned away at once")
    if "unreachable" not in said and "No route" not in said and "refused" not in said:
        raise NotYet(f"nc ended with status {answer.status}: {said}")


async def _name_refused(reach: Reach, machine: Machine) -> None:
    argv = ["dig", "+noall", "+comments", "+time=2", "+tries=1", OUTSIDE_NAME, "A"]
    answer = await reach.run(machine.name, argv, timeout=10, check=False)
    if answer.status != 0:
        raise NotYet(f"got no answer when it asked for {OUTSIDE_NAME}; it should be refused at once")
    if "status: REFUSED" not in answer.text and "status: NXDOMAIN" not in answer.text:
        said = next((line for line in answer.text.splitlines() if "status:" in line), answer.text)
        raise NotYet(f"asked for {OUTSIDE_NAME} and wasn't refused: {said}")
