"""What groundplane does to bring machines to their states: observe all, then act on those that differ. One process."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from configuring.work import WORK, Work
from groundplane.rollout.link import AgentLink
from groundplane.state.model import Directory, File, MachineState, Package, Symlink, Sysctl, Unit, User
from groundplane.transport.ssh import SshTransport
from groundplane.transport.target import Target


def state(machine: str, work: Work) -> MachineState:
    """The work in our own vocabulary."""
    unit_files = tuple(document.path for document in work.unit_files)
    return MachineState(
        machine=machine,
        files=tuple(
            File(document.path, document.content.encode(), document.mode, document.owner, document.owner)
            for document in sorted(work.documents, key=lambda document: document.path)
        ),
        directories=tuple(Directory(folder.path, folder.mode, folder.owner, folder.owner) for folder in work.folders),
        packages=tuple(Package(name) for name in work.packages),
        units=tuple(Unit(name, reads=tuple(path for path in unit_files if path.endswith(name))) for name in work.units),
        sysctls=tuple(Sysctl(setting.key, setting.value) for setting in work.settings),
        users=tuple(User(account.name) for account in work.accounts),
        links=tuple(Symlink(pointer.path, pointer.target) for pointer in work.pointers),
    )


def targets_of(file: Path) -> dict[str, Target]:
    told = json.loads(file.read_text())
    return {
        name: Target(address, Path(told["known_hosts"]), key=Path(told["key"]))
        for name, address in told["addresses"].items()
    }


async def main(targets: dict[str, Target]) -> None:
    """Bring every machine to its state, all at once; nothing is sent to one that is in it already."""
    async with SshTransport(targets) as transport, asyncio.TaskGroup() as group:
        link = AgentLink(transport)
        for machine in targets:
            group.create_task(one(link, state(machine, WORK)))


async def one(link: AgentLink, wanted: MachineState) -> None:
    found = await link.observe(wanted)
    if found.changes or found.refused:
        done = await link.bring(wanted)
        print(f"{wanted.machine}: {len(done)} changed")
    else:
        print(f"{wanted.machine}: nothing to do")


if __name__ == "__main__":
    asyncio.run(main(targets_of(Path(sys.argv[1]))))
