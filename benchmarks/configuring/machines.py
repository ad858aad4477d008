"""Four Debian machines with an SSH server, as system containers in a network of their own, made anew for every tool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import asyncssh

from configuring.work import MACHINES, WORK
from groundplane import image
from groundplane.cloudinit import Seed
from groundplane.events import silent
from groundplane.machines.base import Blueprint
from groundplane.machines.lab.provider import LabProvider
from groundplane.machines.lab.rootfs import Trees
from groundplane.machines.lab.traits import traits
from groundplane.spec.model import ClusterSpec
from groundplane.state import MachineState
from groundplane.topology import lay_out
from groundplane.topology.model import Machine, Topology
from groundplane.topology.pki import make_secrets
from groundplane.transport.target import Target
from groundplane.verify.condition import wait_until

PACKAGES: Final = ("python3-apt", *WORK.packages)
"""What the machines are born with: nothing in their network could give it later. python3-apt is Ansible's wish."""

INSPECTION: Final = Path(__file__).parent / "inspection.py"
READY: Final = 120.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What an inspection saw on one machine."""

    problems: tuple[str, ...]
    touched: dict[str, int]


class Lab:
    """The machines, their addresses, and the files by which they are reached."""

    def __init__(self, folder: Path, cache: Path, topology: Topology, provider: LabProvider) -> None:
        self.cache = cache
        self.key = folder / "id_ed25519"
        self.known_hosts = folder / "known_hosts"
        self.addresses = {machine.name: str(machine.address) for machine in topology.machines}
        self._topology = topology
        self._provider = provider
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._write_keys()

    def inside(self, argv: Sequence[str]) -> tuple[str, ...]:
        """``argv``, to be run on this computer but in the machines' network."""
        return self._provider.on_lan(argv)

    @property
    def targets(self) -> dict[str, Target]:
        return {
            name: Target(address, self.known_hosts, key=self.key) for name, address in sorted(self.addresses.items())
        }

    async def renew(self) -> None:
        """Machines as they were on their first day."""
        async with asyncio.TaskGroup() as group:
            for machine in self._topology.machines:
                group.create_task(self._renew(machine))

    async def inspect(self) -> dict[str, Finding]:
        """Whether the work is done, seen on each machine by its own eyes."""
        return dict(zip(MACHINES, await asyncio.gather(*map(self._inspect, MACHINES)), strict=True))

    async def _renew(self, machine: Machine) -> None:
        await self._provider.remove(machine.name)
        await self._provider.ensure(machine.name, Blueprint(MachineState(machine.name), self._seed(machine)))
        await self._provider.wait_ready(machine.name, deadline=READY)
        await wait_until("its SSH server answers", partial(self._answers, machine.name), deadline=READY)

    async def _answers(self, machine: str) -> None:
        connect = "import socket; socket.create_connection(('127.0.0.1', 22), 1)"
        await self._provider.transport.run(machine, ("python3", "-c", connect), timeout=5)

    async def _inspect(self, machine: str) -> Finding:
        argv = ("python3", "-c", INSPECTION.read_text(encoding="utf-8"))
        done = await self._provider.transport.run(machine, argv, stdin=json.dumps(asdict(WORK)).encode())
        found = json.loads(done.stdout)
        return Finding(tuple(found["problems"]), found["touched"])

    def _seed(self, machine: Machine) -> Seed:
        """What any cloud would give a machine: a name, keys, an address. Nothing of it is any tool's own."""
        hosts = "127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in sorted(self.addresses.items()))
        user_data = {
            "hostname": machine.name,
            "manage_etc_hosts": False,
            "users": [],
            "disable_root": False,
            "ssh_pwauth": False,
            "ssh_keys": {},
            "locale": False,
            "apt": {"preserve_sources_list": True},
            "write_files": [
                _file("/etc/hosts", hosts, "0644"),
                _file("/etc/ssh/ssh_host_ed25519_key", self._host_key.export_private_key().decode(), "0600"),
                _file("/root/.ssh/authorized_keys", self.key.with_suffix(".pub").read_text(), "0600"),
            ],
            "runcmd": ["systemctl enable --now ssh.service"],
        }
        interface = {
            "match": {"macaddress": machine.mac},
            "set-name": machine.interface,
            "addresses": [f"{machine.address}/{self._topology.lan.range.prefixlen}"],
        }
        return Seed(
            meta_data=f"instance-id: {machine.name}\n".encode(),
            user_data=b"#cloud-config\n" + json.dumps(user_data).encode(),
            network_config=json.dumps({"version": 2, "ethernets": {machine.interface: interface}}).encode(),
        )

    def _write_keys(self) -> None:
        user = asyncssh.generate_private_key("ssh-ed25519")
        user.write_private_key(str(self.key))
        self.key.chmod(0o600)
        user.write_public_key(str(self.key.with_suffix(".pub")))
        public = self._host_key.export_public_key().decode()
        self.known_hosts.write_text("".join(f"{address} {public}" for address in self.addresses.values()))


def _file(path: str, content: str, mode: str) -> dict[str, str]:
    return {"path": path, "content": content, "permissions": mode}


async def base_image(cache: Path) -> Path:
    """The root tree of the machines, from the cache where it is there."""
    return (await image.build(specification().image, PACKAGES, cache, silent)).path


@asynccontextmanager
async def lab(folder: Path, cache: Path, root: Path) -> AsyncIterator[Lab]:
    """The network and, at the first ``renew``, the machines in it. Nothing is left of them afterwards.

    ``folder`` is empty and ours; ``cache`` is where the tools are installed.
    """
    for name in ("state", "software", "registry"):
        (folder / name).mkdir(mode=0o700)
    spec = specification()
    topology = lay_out(spec, make_secrets(spec), traits())
    trees = Trees(root, folder / "software", folder / "registry")
    provider = LabProvider(topology, trees, folder / "state", silent)
    try:
        await provider.prepare()
        yield Lab(folder, cache, topology, provider)
    finally:
        await provider.destroy()


def specification() -> ClusterSpec:
    """Four machines that are no platform: made here, for the rules of a cluster file would refuse them."""
    roles = ("gateway", "worker", "worker", "worker")
    size = {"cpus": 2, "memory": "1GiB"}
    entries = [{"name": name, "role": role, "size": size} for name, role in zip(MACHINES, roles, strict=True)]
    return ClusterSpec.model_validate({"name": "configure", "network": {"lan": "10.83.0.0/24"}, "machines": entries})
