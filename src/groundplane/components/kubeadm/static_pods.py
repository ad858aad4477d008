"""The static pods of a control plane: what kubeadm would lay of its configuration today, and what lies there.

kubeadm lays them when a machine begins or joins, and never again. What has come to differ, because a newer groundplane
sets it otherwise or somebody changed it by hand, is brought about here, with what was there kept until the new is well
(``remote/static_pods.py`` does that on the machine).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from groundplane.components.cluster import paths
from groundplane.components.cluster.api import loads
from groundplane.components.cluster.names import API_SERVER, ETCD, STATIC_PODS
from groundplane.components.etcd.members import hand_over
from groundplane.components.kubeadm import config
from groundplane.errors import StepError
from groundplane.state.change import lines_diff
from groundplane.state.step import Completed, Reach
from groundplane.topology.model import Machine, Topology

DEADLINE: Final = 1200.0
"""Seconds for all of them: each may take three minutes, and as long again to be put back."""
_LOOK: Final = 60.0
_PROGRAM: Final = (Path(__file__).parent / "remote" / "static_pods.py").read_text()
# How an etcd began, which is another thing on every member, and counts for one without data alone.
_BEGINNING: Final = ("    - --initial-cluster=", "    - --initial-cluster-state=")
# It goes on and ends well, or is undone, without us.
_UNIT: Final = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--property=RuntimeMaxSec={DEADLINE:.0f}")


@dataclass(frozen=True, slots=True)
class Pods:
    """Manifests by the pod's name: what kubeadm would lay, what lies there, and what a run that was cut off has kept of
    those that were well. ``unreadable`` are files that etcd needs and its user can't read."""

    wanted: Mapping[str, str]
    there: Mapping[str, str]
    kept: Mapping[str, str]
    unreadable: tuple[str, ...]

    @property
    def differing(self) -> tuple[str, ...]:
        """The pods that have to be brought about."""
        return tuple(
            name
            for name in STATIC_PODS
            if name in self.kept or self.there.get(name) != self.target(name) or (name == ETCD and self.unreadable)
        )

    def before(self, name: str) -> str | None:
        """The manifest that was the last one known to be well."""
        return self.kept.get(name, self.there.get(name))

    def target(self, name: str) -> str:
        """What should lie there: kubeadm's, with etcd's beginning as it was. kubeadm would write one of a cluster of
        its own, which a member that lost its data would then begin."""
        wanted = self.wanted[name]
        before = self.before(name)
        if name != ETCD or before is None:
            return wanted
        return _with_lines(wanted, [line for line in before.splitlines() if line.startswith(_BEGINNING)])


def _with_lines(manifest: str, beginning: list[str]) -> str:
    lines: list[str] = []
    for line in manifest.splitlines():
        if not line.startswith(_BEGINNING):
            lines.append(line)
        else:
            lines += beginning
            beginning = []
    return "\n".join([*lines, ""])


async def look(reach: Reach, topology: Topology, machine: Machine) -> Pods:
    """What kubeadm on ``machine`` makes of today's configuration beside what lies there. Touches nothing."""
    request = {
        "do": "look",
        "names": STATIC_PODS,
        "config": config.init_configuration(topology, machine).decode(),
        "patches": {name: content.decode() for name, content in config.patches(machine).items()},
        "folder": paths.PATCHES,
        "manifests": paths.MANIFESTS,
        "kept": paths.KEPT,
        "readable": paths.ETCD_LEAVES,
    }
    answer = await _asked(reach, machine, (), request, _LOOK)
    return Pods(answer["wanted"], answer["there"], answer["kept"], tuple(answer["unreadable"]))


def words(pods: Pods) -> str:
    """What differs, in a line."""
    said = []
    if changed := [name for name in STATIC_PODS if pods.there.get(name, "") != pods.target(name)]:
        said.append(f"{', '.join(changed)}: the static pod is another one")
    if cut := [name for name in STATIC_PODS if name in pods.kept]:
        said.append(f"{', '.join(cut)}: a change was cut off")
    if pods.unreadable:
        said.append(f"etcd's own user can't read {', '.join(pods.unreadable)}")
    return "; ".join(said)


def diff(pods: Pods) -> str:
    """What differs, as one unified diff."""
    diffs = (
        lines_diff(
            f"{paths.MANIFESTS}/{name}.yaml", pods.there.get(name, "").splitlines(), pods.target(name).splitlines()
        )
        for name in STATIC_PODS
    )
    return "\n".join(filter(None, diffs))


async def bring(reach: Reach, topology: Topology, machine: Machine) -> None:
    """Bring about what differs on ``machine``, and wait until it is well. StepError where it doesn't get so; what was
    there before is back in place then."""
    pods = await look(reach, topology, machine)
    if ETCD in pods.differing:
        await hand_over(reach, topology, machine)
    request = {
        "do": "bring",
        "manifests": paths.MANIFESTS,
        "kept": paths.KEPT,
        "groups": [[_pod(pods, name) for name in group] for group in groups(pods.differing)],
    }
    answer = await _asked(reach, machine, _UNIT, request, DEADLINE + 30)
    if not answer["problem"]:
        return
    if answer["put_back"]:
        raise StepError(
            answer["problem"],
            where=machine.name,
            hint="what was there before is back in place and well, and no other control plane was touched; "
            f"`groundplane plan` shows what was tried, /var/log/pods on {machine.name} holds more of its words",
        )
    raise StepError(
        answer["problem"],
        where=machine.name,
        hint=f"what was there before was put back and doesn't get well either; `journalctl -u kubelet` and "
        f"/var/log/pods on {machine.name} tell why, and running this again goes on",
        detail=answer["worse"],
    )


def groups(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Which are changed together, in the order in which they stop. An API server leans on the etcd beside it, so it
    stops before that and starts after it: until then the balancers send nobody there."""
    found = [(API_SERVER, ETCD)] if ETCD in names else [(API_SERVER,)] if API_SERVER in names else []
    return [*found, *((name,) for name in names if name not in (ETCD, API_SERVER))]


def _pod(pods: Pods, name: str) -> dict[str, Any]:
    before = pods.before(name)
    return {
        "name": name,
        "new": _described(pods.target(name)),
        "old": _described(before) if before is not None else None,
        "data": paths.ETCD_DATA if name == ETCD else "",
        "readable": paths.ETCD_LEAVES if name == ETCD else (),
    }


def _described(manifest: str) -> dict[str, Any]:
    """A manifest, and what can be seen from outside of the pod it makes: its command, where it says that it is well,
    and whom it runs as. One that isn't kubeadm's has none of it, and is only put back."""
    try:
        spec = YAML(typ="safe", pure=True).load(manifest)["spec"]
        container = spec["containers"][0]
        asked = (container.get("readinessProbe") or container["livenessProbe"])["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        user = spec.get("securityContext", {})
        return {
            "text": manifest,
            "command": [*container["command"], *container.get("args", ())],
            "url": f"{asked['scheme'].lower()}://{asked['host']}:{ports.get(asked['port'], asked['port'])}"
            f"{asked['path']}",
            "user": [user.get("runAsUser", 0), user.get("runAsGroup", 0)],
        }
    except (YAMLError, KeyError, IndexError, TypeError, AttributeError):
        return {"text": manifest, "command": [], "url": "", "user": [0, 0]}


async def _asked(
    reach: Reach, machine: Machine, before: tuple[str, ...], request: Mapping[str, Any], timeout: float
) -> dict[str, Any]:
    argv = (*before, "python3", "-I", "-S", "-c", _PROGRAM)
    answer: Completed = await reach.run(machine.name, argv, stdin=json.dumps(request).encode(), timeout=timeout)
    return loads(answer.text)
