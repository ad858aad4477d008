"""The work as an Ansible playbook, tuned as its users tune it: pipelining, lasting connections, no facts; and the
same with Mitogen as its strategy."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from configuring.machines import Lab
from configuring.tools import Call, installed, versions
from configuring.work import WORK, Document, Work

Value = str | bool | Sequence["Value"] | Mapping[str, "Value"]
Task = dict[str, Value]

SSH: Final = "-o ControlMaster=auto -o ControlPersist=300s -o PreferredAuthentications=publickey"
KEPT: Final = "/etc/sysctl.d/90-bench.conf"
_LIVE: Final = """\
changed=
while read -r key value; do
  [ "$(sysctl -n "$key")" = "$value" ] || { sysctl -q -w "$key=$value" && changed=yes; }
done <<end
%s
end
echo "changed=$changed"
"""
"""ansible-core has no module for sysctls: one look at all of them is less work than a call for each."""


@dataclass(frozen=True, slots=True)
class Ansible:
    """``mitogen``: with Mitogen's strategy in place of Ansible's own."""

    mitogen: bool = False

    @property
    def name(self) -> str:
        return "Ansible with Mitogen" if self.mitogen else "Ansible, tuned"

    @property
    def packages(self) -> tuple[str, ...]:
        return ("ansible-core", "mitogen") if self.mitogen else ("ansible-core",)

    def install(self, cache: Path) -> str:
        return versions(installed(self._place(cache), self.packages), self.packages)

    def render(self, lab: Lab, folder: Path) -> Call:
        programs = installed(self._place(lab.cache), self.packages)
        inventory = "".join(f"{name} ansible_host={at}\n" for name, at in sorted(lab.addresses.items()))
        (folder / "inventory").write_text(f"[all]\n{inventory}")
        (folder / "playbook.yml").write_text(json.dumps(playbook(WORK, folder / "files"), indent=1))
        (folder / "ansible.cfg").write_text(self._configuration(lab, folder, programs))
        return Call(
            (str(programs / "ansible-playbook"), "playbook.yml"), {"ANSIBLE_CONFIG": str(folder / "ansible.cfg")}
        )

    def leave(self, folder: Path) -> None:
        """Its connections outlive it by design."""
        for control in (folder / "control").glob("*"):
            subprocess.run(["ssh", "-O", "exit", "-S", control, "any"], capture_output=True, check=False)

    def _place(self, cache: Path) -> Path:
        return cache / ("mitogen" if self.mitogen else "ansible")

    def _configuration(self, lab: Lab, folder: Path, programs: Path) -> str:
        known = f"-o UserKnownHostsFile={lab.known_hosts}"
        lines = [
            "[defaults]",
            "inventory = inventory",
            "forks = 20",
            "gathering = explicit",
            "interpreter_python = /usr/bin/python3",
            "remote_user = root",
            f"private_key_file = {lab.key}",
            f"home = {folder / 'home'}",
        ]
        if self.mitogen:
            plugins = next(programs.parent.glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy"))
            lines += [f"strategy_plugins = {plugins}", "strategy = mitogen_linear"]
        lines += ["[ssh_connection]", "pipelining = True", f"ssh_args = {SSH} {known}"]
        lines += [f"control_path_dir = {folder / 'control'}"]
        return "\n".join([*lines, ""])


def playbook(work: Work, files: Path) -> list[dict[str, Value]]:
    """The play; contents of files are written below ``files``, where Ansible's copy takes them from."""
    files.mkdir()
    for number, document in enumerate(work.documents):
        (files / str(number)).write_text(document.content)
    kept = "".join(f"{setting.key} = {setting.value}\n" for setting in work.settings)
    live = _LIVE % "\n".join(f"{setting.key} {setting.value}" for setting in work.settings)
    tasks: list[Value] = [
        _each("user", [{"name": account.name} for account in work.accounts], system=True, create_home=False,
              home="/nonexistent", shell="/usr/sbin/nologin"),
        _each("file", [{"path": folder.path, "mode": f"0{folder.mode:o}", "owner": folder.owner, "group": folder.owner}
                       for folder in work.folders], state="directory"),
        _copies(work, work.plain_files, files),
        {**_copies(work, work.unit_files, files), "register": "unit_files"},
        _each("file", [{"dest": pointer.path, "src": pointer.target} for pointer in work.pointers], state="link"),
        {"ansible.builtin.apt": {"name": list(work.packages), "state": "present"}},
        {"ansible.builtin.copy": {"content": kept, "dest": KEPT, "mode": "0644"}},
        {"ansible.builtin.shell": live, "register": "live", "changed_when": "'changed=yes' in live.stdout"},
        {"ansible.builtin.systemd_service": {"daemon_reload": True}, "when": "unit_files is changed"},
        _each("systemd_service", [{"name": unit} for unit in work.units], enabled=True, state="started"),
    ]  # fmt: skip
    return [{"hosts": "all", "gather_facts": False, "tasks": tasks}]


def _each(module: str, items: list[Task], **common: str | bool) -> Task:
    """One task over ``items``: cheaper for Ansible than a task for each."""
    arguments: Task = {key: f"{{{{ item.{key} }}}}" for key in items[0]}
    return {f"ansible.builtin.{module}": {**arguments, **common}, "loop": list(items)}


def _copies(work: Work, documents: tuple[Document, ...], files: Path) -> Task:
    return _each(
        "copy",
        [
            {
                "dest": document.path,
                "src": str(files / str(work.documents.index(document))),
                "mode": f"0{document.mode:o}",
                "owner": document.owner,
                "group": document.owner,
            }
            for document in documents
        ],
    )
