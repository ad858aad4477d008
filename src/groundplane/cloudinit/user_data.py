"""A machine's desired state as ``#cloud-config``, in cloud-config's own terms.

What runs when (https://docs.cloud-init.io/en/latest/explanation/boot.html): ``write_files`` early, before users are
made; files of somebody other than root are therefore deferred to the final stage, which then runs ``runcmd``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from posixpath import dirname

from groundplane.cloudinit.yaml import content, scalar
from groundplane.spec.roles import words
from groundplane.state.derived import (
    MANIFEST,
    SYSCTL_FILE,
    all_files,
    all_mounts,
    all_units,
    manifest_content,
    manifest_of,
    mount_unit,
)
from groundplane.state.model import DataFolder, File, MachineState, Unit, User, Volume
from groundplane.topology.model import Machine, Topology

FIRST_BOOT_TARGET = "groundplane-first-boot.target"
FIRST_BOOT_DONE = "/var/lib/groundplane/first-boot-done"
"""Exists once a machine has everything its seed says, and before any of it runs. Until then the base image's
``groundplane-first-boot.service`` lets each boot begin anew: cloud-init would not finish one that was cut off."""


def user_data(topology: Topology, machine: Machine, state: MachineState) -> bytes:
    """The seed's ``user-data``. Whoever reads it should recognise a cloud-config they could have written."""
    lines = [*_head(topology, machine), "", "write_files:"]
    for file in _files(state):
        lines += _entry(file)
    lines += ["", "runcmd:"]
    lines += [f"  - {scalar(command)}" for command in _commands(state)]
    return "\n".join([*lines, ""]).encode()


def _head(topology: Topology, machine: Machine) -> list[str]:
    return [
        "#cloud-config",
        f"# First boot of {machine.name}, a {words(machine.roles)} of platform {topology.name}.",
        "# groundplane makes this from the cluster file: change that one, not this.",
        f"hostname: {scalar(machine.name)}",
        f"fqdn: {scalar(machine.fqdn)}",
        "prefer_fqdn_over_hostname: false",
        "preserve_hostname: false",
        "# /etc/hosts is among the files below.",
        "manage_etc_hosts: false",
        "# Nobody logs in with a password, and the image's default user isn't made.",
        "users: []",
        "disable_root: true",
        "ssh_pwauth: false",
        "# No host keys are made here: images without an SSH server have no ssh-keygen either.",
        "ssh_keys: {}",
        "# The image's own locale and package sources stay.",
        "locale: false",
        "apt:",
        "  preserve_sources_list: true",
    ]


def _files(state: MachineState) -> tuple[File, ...]:
    extra = [manifest_file(state)]
    if started := _started(all_units(state)):
        extra.append(_first_boot_target(started))
    return tuple(sorted((*all_files(state), *extra), key=lambda file: file.path))


def manifest_file(state: MachineState) -> File:
    """The account of what is ours on the machine, as the agent would write it."""
    return File(MANIFEST, manifest_content(manifest_of(state)))


def _entry(file: File) -> list[str]:
    owner = f"{file.owner}:{file.group}"
    deferred = [] if owner == "root:root" else ["    defer: true"]
    return [
        f"  - path: {scalar(file.path)}",
        f"    owner: {owner}",
        f'    permissions: "{file.mode:04o}"',
        *deferred,
        *content(file.content, indent=4),
    ]


def _started(units: Iterable[Unit]) -> tuple[str, ...]:
    return tuple(unit.name for unit in units if unit.active and not unit.masked)


def _first_boot_target(started: tuple[str, ...]) -> File:
    """A target of this boot alone (under /run) that wants every unit to start.

    Started by name one after the other, each unit would be a transaction of its own and could run before a unit it
    is ordered after was even asked for. Through one target systemd sees them all at once and orders them itself.
    """
    text = "\n".join(
        (
            "[Unit]",
            "Description=What this machine runs, started together at its first boot",
            *(f"Wants={name}" for name in started),
            "",
        )
    )
    return File(f"/run/systemd/system/{FIRST_BOOT_TARGET}", text.encode())


def _commands(state: MachineState) -> list[str]:
    """The shell lines of ``runcmd``. One that fails ends the script, and with it ``cloud-init status`` is an error."""
    commands = ["set -eu"]
    commands += [_user(user) for user in state.users]
    commands += [command for volume in state.volumes for command in _volume(volume)]
    if mounts := [mount_unit(mount.path) for mount in all_mounts(state)]:
        # Before any folder is made that should lie on one of them.
        commands += ["systemctl daemon-reload", _line("systemctl", "start", *mounts)]
    commands += [
        _line("install", "-d", "-m", f"{folder.mode:04o}", "-o", folder.owner, "-g", folder.group, folder.path)
        for folder in state.directories
    ]
    commands += [
        _line("install", "-d", "-m", f"{folder.mode:04o}", *_owner(folder), folder.path)
        for folder in state.data_folders
    ]
    for link in state.links:
        commands += [_line("mkdir", "-p", dirname(link.path)), _line("ln", "-sfnT", link.target, link.path)]
    if state.sysctls:
        commands.append(_line("sysctl", "--quiet", f"--load={SYSCTL_FILE}"))
    return commands + _unit_commands(all_units(state))


def _user(user: User) -> str:
    """Like the agent's: cloud-config's own ``users`` come after early files, and would not know of packages' groups."""
    kind = ("--system", "--no-create-home") if user.system else ("--create-home",)
    groups = ("--groups", ",".join(user.groups)) if user.groups else ()
    number = ("--uid", str(user.uid)) if user.uid is not None else ()
    settings = ("--home", user.home, "--shell", user.shell, *groups)
    return _line("useradd", *kind, *number, "--user-group", *settings, user.name)


def _owner(folder: DataFolder) -> tuple[str, ...]:
    owner = ("-o", folder.owner) if folder.owner else ()
    return (*owner, "-g", folder.group) if folder.group else owner


def _volume(volume: Volume) -> list[str]:
    size = ("--size", f"{volume.size_bytes}b", "--name", volume.name)
    return [
        _line("lvcreate", "--yes", "--wipesignatures", "n", *size, volume.group),
        _line(f"mkfs.{volume.filesystem}", volume.device),
    ]


def _unit_commands(units: tuple[Unit, ...]) -> list[str]:
    """Masks first, so that nothing starts what must not run; then the switches for every later boot; then the start.

    The start doesn't wait. This script runs inside cloud-final.service: a unit ordered after that service, or after
    a target that waits for it, could only start once the script ended, and waiting here would never end. The jobs
    still belong to the boot: ``systemctl is-system-running --wait`` answers when they are done.
    """
    masked = [unit.name for unit in units if unit.masked]
    enabled = [unit.name for unit in units if unit.enabled and not unit.masked]
    disabled = [unit.name for unit in units if not unit.enabled and not unit.masked]
    stopped = [unit.name for unit in units if unit.active is False and not unit.masked]
    commands = ["systemctl daemon-reload"]
    if masked:
        commands.append(_line("systemctl", "mask", "--now", *masked))
    if disabled:
        commands.append(_line("systemctl", "disable", *disabled))
    if stopped:
        commands.append(_line("systemctl", "stop", "--no-block", *stopped))
    if enabled:
        commands.append(_line("systemctl", "enable", *enabled))
    # What the image itself starts, the network, ran before its files lay there. Who doesn't run yet isn't touched.
    if reloaded := [unit.name for unit in units if unit.reloads and unit.active and not unit.masked]:
        commands.append(_line("systemctl", "try-reload-or-restart", *reloaded))
    # From here on a boot that is cut off is made up for by the next one: what is enabled starts by itself.
    commands.append(_line("install", "-D", "-m", "0644", "/dev/null", FIRST_BOOT_DONE))
    if _started(units):
        commands.append(_line("systemctl", "start", "--no-block", FIRST_BOOT_TARGET))
    return commands


def _line(*words: str) -> str:
    return shlex.join(words)
