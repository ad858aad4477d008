"""Carries out what files and units stand on: accounts, volumes, mounts, links and folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from groundplane.agent import files, kernel, systemd
from groundplane.agent.accounts import accounts
from groundplane.agent.error import AgentError
from groundplane.agent.run import Run
from groundplane.state.change import Action, Change, Kind
from groundplane.state.derived import all_mounts, mount_content, mount_file, mount_unit
from groundplane.state.model import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LEASE = 20.0
"""Seconds a card may take to have its address after it was set up anew."""


_NETWORKS = "/etc/systemd/network/"
"""Where files say what a card has."""


def lay(run: Run) -> None:
    for change in run.changes:
        if change.kind in _DOERS and not change.content and not _comes_with_a_file(run, change):
            with run.carrying_out(change):
                _DOERS[change.kind](run, change)


def lay_what_files_say(run: Run) -> None:
    """The addresses that come with files, once their unit has taken these up."""
    for change in run.changes:
        if _comes_with_a_file(run, change):
            with run.carrying_out(change):
                _address(run, change)


def _comes_with_a_file(run: Run, change: Change) -> bool:
    return change.kind is Kind.ADDRESS and any(other.key.startswith(_NETWORKS) for other in run.of(Kind.FILE))


def _user(run: Run, change: Change) -> None:
    from groundplane.agent import users

    user = next(user for user in run.state.users if user.name == change.key)
    (users.make if change.action is Action.CREATE else users.alter)(run.machine, user)


def _volume(run: Run, change: Change) -> None:
    from groundplane.agent import volumes

    volume = next(volume for volume in run.state.volumes if f"{volume.group}/{volume.name}" == change.key)
    found = run.seen.volumes.get(change.key)
    if found is None:
        volumes.make(run.machine, volume)
    elif not found.filesystem:
        volumes.fill(run.machine, volume)
    else:
        volumes.grow(run.machine, volume)


def _mount(run: Run, change: Change) -> None:
    """Lay the mount's unit and have it mounted that way; if it can't be, the unit is as it was before."""
    mount = next(mount for mount in all_mounts(run.state) if mount.path == change.key)
    path, unit = mount_file(mount), mount_unit(mount.path)
    kept = files.keep(run.machine, path)
    files.put(run.machine, path, mount_content(mount), 0o644, os.geteuid(), os.getegid())
    try:
        systemd.demand(run.machine, "daemon-reload")
        systemd.demand(run.machine, "enable", unit)
        systemd.demand(run.machine, "restart", unit)
    except AgentError:
        files.put_back(run.machine, path, kept)
        systemd.act(run.machine, "daemon-reload")
        raise
    files.forget_kept(run.machine, path)


def _link(run: Run, change: Change) -> None:
    if change.action is Action.REMOVE:
        files.discard(run.machine, change.key)
    else:
        files.link(run.machine, change.key, next(link.target for link in run.state.links if link.path == change.key))


def _directory(run: Run, change: Change) -> None:
    folder = next(folder for folder in run.state.directories if folder.path == change.key)
    known = accounts(run.machine)
    owner = (known.user(folder.owner), known.group(folder.group))
    with files.telling(f"{folder.path} can't be made as it should be"):
        files.folders(run.machine, folder.path)
        os.chown(run.machine.at(folder.path), *owner)
        os.chmod(run.machine.at(folder.path), folder.mode)


def _data_folder(run: Run, change: Change) -> None:
    folder = next(folder for folder in run.state.data_folders if folder.path == change.key)
    with files.telling(f"{folder.path} can't be made as it should be"):
        files.folders(run.machine, folder.path)
        if folder.owner or folder.group:
            known = accounts(run.machine)
            owner = known.user(folder.owner) if folder.owner else -1
            os.chown(run.machine.at(folder.path), owner, known.group(folder.group) if folder.group else -1)
        os.chmod(run.machine.at(folder.path), folder.mode)


def _artifact(run: Run, change: Change) -> None:
    """Let it be executed. One that must hold something else is put in place with the files (``replacing``)."""
    with files.telling(f"{change.key} can't be made executable"):
        os.chmod(run.machine.at(change.key), 0o755)


def _address(run: Run, change: Change) -> None:
    """Have the network set the card up anew: it asks for its lease again, or lays its own address."""
    wanted = next(address for address in run.state.addresses if address.card == change.key)
    systemd.network(run.machine, "reconfigure", change.key)
    end = run.machine.monotonic() + _LEASE
    while missing := _missing(run, wanted):
        if run.machine.monotonic() > end:
            raise AgentError(
                f"{change.key} does not get {missing}",
                hint="see `networkctl status` on the machine, and `journalctl -u dnsmasq` on the gateway",
            )
        run.machine.pause(0.1)


def _missing(run: Run, wanted: Address) -> str:
    if wanted.address not in kernel.addresses(run.machine):
        return wanted.address
    if wanted.router and (wanted.card, wanted.router) not in kernel.routers(run.machine):
        return f"its default route by {wanted.router}"
    return ""


def _host_name(run: Run, change: Change) -> None:
    """The kernel's name; the file is one of the state's."""
    from socket import sethostname  # costs its import, and hardly any machine was renamed

    name = next(host.name for host in run.state.host_names)
    with files.telling(f"the machine can't be called {name}"):
        sethostname(name)


_DOERS: Final[Mapping[Kind, Callable[[Run, Change], None]]] = {
    Kind.USER: _user,
    Kind.VOLUME: _volume,
    Kind.MOUNT: _mount,
    Kind.LINK: _link,
    Kind.DIRECTORY: _directory,
    Kind.DATA_FOLDER: _data_folder,
    Kind.ARTIFACT: _artifact,
    Kind.ADDRESS: _address,
    Kind.HOST_NAME: _host_name,
}
