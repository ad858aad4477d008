"""Runs on a machine, by its own Python: says whether the work given as JSON on stdin is done there, whoever did it.

Prints JSON: ``problems`` (what doesn't hold), and ``touched`` (when each thing was last changed), by which a run
that should do nothing is seen to have done nothing.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

problems: list[str] = []
touched: dict[str, int] = {}


def claim(holds: bool, words: str) -> None:
    if not holds:
        problems.append(words)


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def look(path: str, kind: int, mode: int | None, owner: str) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        problems.append(f"{path} is missing")
        return False
    touched[path] = found.st_ctime_ns
    claim(stat.S_IFMT(found.st_mode) == kind, f"{path} is something else")
    if mode is not None:
        claim(stat.S_IMODE(found.st_mode) == mode, f"{path} has mode {stat.S_IMODE(found.st_mode):o}")
        claim(pwd.getpwuid(found.st_uid).pw_name == owner, f"{path} is not {owner}'s")
        claim(grp.getgrgid(found.st_gid).gr_name == owner, f"{path} is not of group {owner}")
    return True


work = json.load(sys.stdin)
accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
for account in work["accounts"]:
    entry = accounts.get(account["name"])
    claim(entry is not None, f"{account['name']} is no account")
    if entry is not None:
        claim(entry.pw_uid < 1000, f"{account['name']} is no system account")
        claim(entry.pw_shell == "/usr/sbin/nologin", f"{account['name']} has shell {entry.pw_shell}")
        claim(entry.pw_dir == "/nonexistent", f"{account['name']} has home {entry.pw_dir}")
for folder in work["folders"]:
    look(folder["path"], stat.S_IFDIR, folder["mode"], folder["owner"])
for document in work["documents"]:
    if look(document["path"], stat.S_IFREG, document["mode"], document["owner"]):
        claim(Path(document["path"]).read_text() == document["content"], f"{document['path']} differs")
for pointer in work["pointers"]:
    if look(pointer["path"], stat.S_IFLNK, None, ""):
        claim(os.readlink(pointer["path"]) == pointer["target"], f"{pointer['path']} leads elsewhere")
for package in work["packages"]:
    status = output("dpkg-query", "--show", "--showformat=${db:Status-Status}", package)
    claim(status == "installed", f"package {package}: {status}")
kept = "".join(path.read_text() for path in sorted(Path("/etc/sysctl.d").glob("*.conf")))
kept += Path("/etc/sysctl.conf").read_text() if Path("/etc/sysctl.conf").exists() else ""
lines = {line.replace(" ", "") for line in kept.splitlines()}
for setting in work["settings"]:
    value = Path("/proc/sys", *setting["key"].split(".")).read_text().strip()
    claim(value == setting["value"], f"{setting['key']} is {value}")
    claim(f"{setting['key']}={setting['value']}" in lines, f"{setting['key']} would not outlive a boot")
for unit in work["units"]:
    shown = output("systemctl", "show", "--property=ActiveState,UnitFileState,ActiveEnterTimestampMonotonic", unit)
    state = dict(line.split("=", 1) for line in shown.splitlines())
    claim(state.get("ActiveState") == "active", f"{unit} is {state.get('ActiveState')}")
    claim(state.get("UnitFileState") == "enabled", f"{unit} is {state.get('UnitFileState')}")
    touched[unit] = int(state.get("ActiveEnterTimestampMonotonic") or 0)
print(json.dumps({"problems": problems, "touched": touched}))
