"""A lab's network: one namespace with two bridges, and one namespace with a plugged-in card per machine.

Nothing is made in the host's own namespace, not even for a moment: every link is created inside the lab's
namespace, and a cable's far end directly inside the machine's. A machine's namespace is made before the
machine, outlives its reboots, and goes when it is switched off: its addresses, filters and connections are what a
machine's kernel has in its memory, and would answer for a machine that is off.

Who pulls a cable by hand (``ip -n gp-<lab> link set l-<machine> down``) has it plugged in again by ``up`` or ``start``.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from groundplane.errors import MachineError
from groundplane.image.removal import read_mounts
from groundplane.machines.lab.command import HostTool, run
from groundplane.machines.lab.names import (
    LAN,
    NAMESPACES,
    WAN,
    Names,
    bridge_mac,
    mounted,
    mounts_in,
    outer_mac,
    port,
)
from groundplane.spec.addressing import spare_address
from groundplane.spec.roles import Role
from groundplane.topology.model import Machine, Topology


@dataclass(frozen=True, slots=True)
class Card:
    """One network card of a machine: its name and MAC there, the bridge it is plugged into."""

    name: str
    mac: str
    bridge: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it is: its MAC, its IPv4 addresses with prefix, the bridge it belongs to, whether it is up.

    ``isolated`` ports of a bridge reach every port but other isolated ones (bridge(8)).
    """

    name: str
    mac: str
    addresses: tuple[str, ...]
    master: str
    up: bool
    isolated: bool = False


def cards(topology: Topology, machine: Machine) -> tuple[Card, ...]:
    """The cards a machine has: one on the LAN, and the gateway's second one on the outer bridge."""
    lan = Card(machine.interface, machine.mac, LAN)
    if not machine.has(Role.GATEWAY):
        return (lan,)
    return (lan, Card(machine.outer_interface, outer_mac(topology.name, machine.name), WAN))


def operator_address(topology: Topology) -> IPv4Address:
    """The lab's own address on the LAN, from which this computer reaches the machines.

    MachineError when the range is used up, which the rules of the file refuse beforehand.
    """
    lan = topology.lan
    taken = {lan.gateway, lan.floating, *(machine.address for machine in topology.machines)}
    if (address := spare_address(lan.range, (lan.pool_first, lan.pool_last), taken)) is not None:
        return address
    raise MachineError(
        "no address of the LAN is left for this computer",
        where=str(lan.range),
        hint="widen network: {lan: …} or shrink network: {dhcp-pool: …} in the cluster file",
    )


def bridge_commands(topology: Topology, links: Mapping[str, Link]) -> tuple[str, ...]:
    """ip(8) batch lines that turn the lab namespace's ``links`` into what they must be; none when they are.

    This computer is on the LAN with a MAC address of its own: machines would go on sending to the old one for seconds
    if it changed with what is plugged in.
    """
    lines: list[str] = []
    if not (loopback := links.get("lo")) or not loopback.up:
        lines.append("link set lo up")
    for name in (LAN, WAN):
        mac = bridge_mac(topology.name, name)
        if name not in links:
            lines.append(f"link add {name} address {mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0")
        elif links[name].mac != mac:
            lines.append(f"link set {name} address {mac}")
        if name not in links or not links[name].up:
            lines.append(f"link set {name} up")
    wanted = f"{operator_address(topology)}/{topology.lan.range.prefixlen}"
    present = links[LAN].addresses if LAN in links else ()
    lines += [f"address del {address} dev {LAN}" for address in present if address != wanted]
    if wanted not in present:
        lines.append(f"address add {wanted} dev {LAN}")
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class Cabling:
    """ip(8) batch lines for a machine's own namespace, to be run first, and for the lab's."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]


def cable_commands(
    names: Names, machine: str, plugged: Sequence[Card], inside: Mapping[str, Link], outside: Mapping[str, Link]
) -> Cabling:
    """What plugs a machine's cards in. ``inside`` are the links of its own namespace, ``outside`` the lab's.

    Cables that are there are left, and only put right where a drill or a power cut left them cut.
    """
    lines: list[str] = []
    loose: list[str] = []
    for card in plugged:
        end = port(machine, card.bridge)
        if card.name in inside and inside[card.name].mac == card.mac and end in outside:
            lines += mending_commands(end, card.bridge, outside[end])
            if not outside[end].up:
                lines.append(f"link set {end} up")
            continue
        if end in outside:
            lines.append(f"link del {end}")
        elif card.name in inside:  # its far end is in a namespace that was the lab's once
            loose.append(f"link del {card.name}")
        lines += [
            f"link add {end} type veth peer name {card.name} address {card.mac}"
            f" netns {names.machine_namespace(machine)}",
            f"link set {end} master {card.bridge} up",
        ]
    return Cabling(tuple(loose), tuple(lines))


def mending_commands(end: str, bridge: str, link: Link) -> tuple[str, ...]:
    """ip(8) batch lines that undo a cut at a cable's near end; none where nothing is cut."""
    if link.master != bridge:
        return (f"link set {end} master {bridge}",)  # a port is isolated no longer once it has left the bridge
    return (f"link set {end} type bridge_slave isolated off",) if link.isolated else ()


def parse_links(text: str) -> dict[str, Link]:
    """Links by name from the output of ``ip -json -details address show``."""
    found = {}
    for entry in json.loads(text or "[]"):
        if not entry:
            continue
        addresses = tuple(
            f"{info['local']}/{info['prefixlen']}"
            for info in entry.get("addr_info", ())
            if info.get("family") == "inet"
        )
        found[entry["ifname"]] = Link(
            name=entry["ifname"],
            mac=entry.get("address", ""),
            addresses=addresses,
            master=entry.get("master", ""),
            up="UP" in entry.get("flags", ()),
            isolated=bool(entry.get("linkinfo", {}).get("info_slave_data", {}).get("isolated", False)),
        )
    return found


class LabNetwork:
    """The effects: makes and removes the namespaces and links of one lab."""

    def __init__(self, topology: Topology, *, runner: HostTool = run, folder: Path = NAMESPACES) -> None:
        self._topology = topology
        self._names = Names(topology.name)
        self._run = runner
        self._folder = folder

    async def prepare(self) -> None:
        """The lab's namespace with its bridges and the operator's address."""
        name = self._names.namespace
        await self._make_namespace(name)
        await self._batch(name, bridge_commands(self._topology, await self._links(name)))

    async def plug(self, machine: Machine) -> bool:
        """The machine's namespace with its cards in it; return whether anything was missing."""
        name = self._names.machine_namespace(machine.name)
        made = await self._make_namespace(name)
        if made:
            await self._batch(name, ("link set lo up",))
        cabling = cable_commands(
            self._names,
            machine.name,
            cards(self._topology, machine),
            await self._links(name),
            await self._links(self._names.namespace),
        )
        await self._batch(name, cabling.inside)
        await self._batch(self._names.namespace, cabling.outside)
        return made or bool(cabling.outside)

    async def silence(self, machine: str) -> None:
        """Take the machine's cables down: from this moment on nothing of it is heard, no last words either.

        Nothing happens where it has none.
        """
        cables = await self._cables(machine)
        lines = [f"link set {end} down" for end, link in cables.items() if link.up]
        await self._batch(self._names.namespace, lines)

    async def cut(self, machine: str, peer: str = "") -> None:
        """Let nothing pass on the LAN between the machine and ``peer``, or anybody; the cards keep their carrier."""
        if peer:
            lines = [f"link set {port(name)} type bridge_slave isolated on" for name in (machine, peer)]
        else:
            lines = [f"link set {port(machine)} nomaster"]
        await self._batch(self._names.namespace, lines)

    async def mend(self) -> None:
        """Undo every cut. Cables that are down stay down."""
        if not self._standing():
            return
        outside = await self._links(self._names.namespace)
        names = {*self.machines(), *(machine.name for machine in self._topology.machines)}
        plugged = [(port(name, bridge), bridge) for name in sorted(names) for bridge in (LAN, WAN)]
        lines = [
            line for end, bridge in plugged if end in outside for line in mending_commands(end, bridge, outside[end])
        ]
        await self._batch(self._names.namespace, lines)

    async def unplug(self, machine: str) -> None:
        """Remove the machine's cables and its namespace."""
        # Not left to the end of the namespace, which comes some time later: the machine may be plugged in before.
        await self._batch(self._names.namespace, [f"link del {end}" for end in await self._cables(machine)])
        await self._remove_namespace(self._names.machine_namespace(machine))

    async def remove(self) -> None:
        """Remove every namespace of the lab, whatever machines they belong to."""
        for machine in self.machines():
            await self.unplug(machine)
        await self._remove_namespace(self._names.namespace)
        await self._uncover()

    def stands(self) -> bool:
        """Whether the lab's own namespace is there."""
        return (self._folder / self._names.namespace).exists()

    def machines(self) -> tuple[str, ...]:
        """Machines that have a namespace, also ones the topology no longer knows."""
        if not self._folder.is_dir():
            return ()
        found = (self._names.machine_of(path.name) for path in self._folder.iterdir())
        return tuple(sorted(name for name in found if name is not None))

    async def _cables(self, machine: str) -> dict[str, Link]:
        """The lab's ends of the machine's cables by name; none where no lab stands."""
        if not self._standing():
            return {}
        outside = await self._links(self._names.namespace)
        ends = (port(machine, bridge) for bridge in (LAN, WAN))
        return {end: outside[end] for end in ends if end in outside}

    def _standing(self) -> bool:
        return mounted(self._folder / self._names.namespace, _mountinfo())

    async def _make_namespace(self, name: str) -> bool:
        path = self._folder / name
        if mounted(path, _mountinfo()):
            return False
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        await self._own_folder()
        path.touch(mode=0o444)
        # unshare(1) binds the namespace of a process that ends at once; this process never leaves its own.
        await self._run(("unshare", f"--net={path}", "true"))
        return True

    async def _remove_namespace(self, name: str) -> None:
        path = self._folder / name
        while mounted(path, _mountinfo()):
            await self._run(("umount", str(path)))
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise  # covered: see _uncover

    async def _own_folder(self) -> None:
        """Have the folder be a mount of its own, as ip-netns(8) does before its first namespace. Where it isn't one
        by then, ip lays one over all that is in it, and nobody can unmount what lies below.

        Nothing is done where something lies there already: that would be covered in the same way.
        """
        folder = str(self._folder)
        if not mounted(self._folder, _mountinfo()) and not mounts_in(self._folder, _mountinfo()):
            await self._run(("mount", "--bind", folder, folder))
            await self._run(("mount", "--make-shared", folder))

    async def _uncover(self) -> None:
        """Remove those namespaces of the lab that lie below a mount over the whole folder, together with that mount."""
        while left := self._left():
            if others := mounts_in(self._folder, _mountinfo()):
                raise MachineError(
                    f"{len(left)} network namespaces lie below a mount over {self._folder} and can't be removed",
                    where=str(self._folder),
                    hint=f"remove what else lies on that mount ({', '.join(others)}: ip netns delete), then this again",
                )
            await self._run(("umount", str(self._folder)))
            for name in left:
                await self._remove_namespace(name)

    def _left(self) -> tuple[str, ...]:
        names = (*(self._names.machine_namespace(name) for name in self.machines()), self._names.namespace)
        return tuple(name for name in names if (self._folder / name).exists())

    async def _links(self, namespace: str) -> dict[str, Link]:
        return parse_links(
            await self._run(
                ("nsenter", f"--net={self._folder / namespace}", "ip", "-json", "-details", "address", "show")
            )
        )

    async def _batch(self, namespace: str, lines: Sequence[str]) -> None:
        if lines:
            argv = ("nsenter", f"--net={self._folder / namespace}", "ip", "-batch", "-")
            await self._run(argv, stdin="\n".join(lines) + "\n")


def _mountinfo() -> str:
    return read_mounts()
