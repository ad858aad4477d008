"""The work as a pyinfra deploy, an operation for each resource."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from configuring.machines import Lab
from configuring.tools import Call, installed, versions
from configuring.work import WORK, Work

PACKAGES: Final = ("pyinfra",)
KEPT: Final = "/etc/sysctl.d/90-bench.conf"


@dataclass(frozen=True, slots=True)
class Pyinfra:
    name: str = "pyinfra"

    def install(self, cache: Path) -> str:
        return versions(installed(cache / "pyinfra", PACKAGES), PACKAGES)

    def render(self, lab: Lab, folder: Path) -> Call:
        programs = installed(lab.cache / "pyinfra", PACKAGES)
        data = {
            "ssh_user": "root",
            "ssh_key": str(lab.key),
            "ssh_known_hosts_file": str(lab.known_hosts),
            "ssh_strict_host_key_checking": "yes",
            "ssh_look_for_keys": False,
            "ssh_allow_agent": False,
        }
        hosts = [(name, {"ssh_hostname": at, **data}) for name, at in sorted(lab.addresses.items())]
        (folder / "inventory.py").write_text(f"machines = {hosts!r}\n")
        (folder / "deploy.py").write_text(deploy(WORK, folder / "files"))
        return Call((str(programs / "pyinfra"), "-y", "inventory.py", "deploy.py"))

    def leave(self, folder: Path) -> None:
        """Nothing of it goes on."""


def deploy(work: Work, files: Path) -> str:
    """The deploy's text; contents of files are written below ``files``."""
    files.mkdir()
    lines = ["from pyinfra.operations import apt, files, server, systemd", ""]
    for account in work.accounts:
        settings = "system=True, ensure_home=False, home='/nonexistent', shell='/usr/sbin/nologin'"
        lines.append(f"server.user(user={account.name!r}, {settings})")
    for folder in work.folders:
        lines.append(f"files.directory(path={folder.path!r}, {_owned(folder.owner, folder.mode)})")
    lines.append("changed = []")
    for number, document in enumerate(work.documents):
        (files / str(number)).write_text(document.content)
        put = f"files.put(src={str(files / str(number))!r}, dest={document.path!r}, "
        put += f"{_owned(document.owner, document.mode)})"
        lines.append(f"changed.append({put})" if document in work.unit_files else put)
    for pointer in work.pointers:
        lines.append(f"files.link(path={pointer.path!r}, target={pointer.target!r})")
    lines.append(f"apt.packages(packages={list(work.packages)!r})")
    for setting in work.settings:
        lines.append(
            f"server.sysctl(key={setting.key!r}, value={setting.value!r}, persist=True, persist_file={KEPT!r})"
        )
    lines.append("systemd.daemon_reload(_if=lambda: any(operation.did_change() for operation in changed))")
    for unit in work.units:
        lines.append(f"systemd.service(service={unit!r}, running=True, enabled=True)")
    return "\n".join([*lines, ""])


def _owned(owner: str, mode: int) -> str:
    return f"user={owner!r}, group={owner!r}, mode='{mode:o}'"
