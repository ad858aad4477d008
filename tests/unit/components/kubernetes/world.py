"""A cluster of the imagination: it understands the commands the Kubernetes rooms send, and keeps every one of them.

It knows what kubeadm, etcd and the API would have afterwards, no more. What it isn't told about is an AssertionError.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from groundplane.components.cluster import paths
from groundplane.components.etcd import anew
from groundplane.components.kubeadm import etcd_leaves, facts
from groundplane.errors import CommandFailed, Unreachable
from groundplane.state.step import Completed
from groundplane.topology.model import Machine, Topology

TOKEN = "abcdef.0123456789abcdef"
FOUNDATIONS = 6


@dataclass
class World:
    """``has`` are each machine's facts; ``memory`` what was written to its /run; ``calls`` all commands in order."""

    topology: Topology
    has: dict[str, set[str]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    members: list[dict[str, Any]] = field(default_factory=list)
    nodes: dict[str, set[str]] = field(default_factory=dict)
    cordoned: set[str] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, bytes] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)  # the API server that each kubelet's kubeconfig names
    unfinished: set[str] = field(default_factory=set)  # machines whose kubelet.conf names no certificate yet
    unbegun: set[str] = field(default_factory=set)  # machines whose etcd was killed before it wrote anything
    founded: bool = False
    quorum: bool = True
    fails: set[str] = field(default_factory=set)  # "init" or "join": kubeadm fails with it
    lingers: bool = False  # kubeadm goes on after it has joined somebody
    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    seen_in_join: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        for machine in self.topology.machines:
            self.has.setdefault(machine.name, set())

    # -- what tests set up ---------------------------------------------------------------------------------------

    def make_control_plane(self, name: str) -> None:
        self.has[name] |= {"identity", "admin", "manifests", "etcd", "kubelet", "api"}
        self.nodes[name] = {paths.CONTROL_PLANE_LABEL}
        self.add_member(name)

    def make_worker(self, name: str) -> None:
        self.has[name] |= {"identity", "kubelet"}
        self.nodes[name] = {paths.WORKER_LABEL}

    def add_member(self, name: str, *, learner: bool = False, started: bool = True) -> None:
        machine = self.topology.machine(name)
        member: dict[str, Any] = {
            "ID": 1000 + int(machine.address),
            "peerURLs": [f"https://{machine.address}:2380"],
        }
        if started:
            member["name"] = name
        if learner:
            member["isLearner"] = True
        self.members.append(member)

    def commands(self, *words: str) -> list[tuple[str, tuple[str, ...]]]:
        """The commands that hold all ``words`` somewhere."""
        return [call for call in self.calls if all(word in " ".join(call[1]) for word in words)]

    @property
    def kubeadm_runs(self) -> list[tuple[str, tuple[str, ...]]]:
        """(machine, kubeadm's arguments) of every run under systemd."""
        return [
            (machine, argv[argv.index("/usr/local/bin/kubeadm") + 1 :])
            for machine, argv in self.calls
            if argv[0] == "systemd-run"
        ]

    # -- the Reach -----------------------------------------------------------------------------------------------

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        self.calls.append((machine, tuple(argv)))
        if machine in self.down:
            raise Unreachable("it does not answer", where=machine)
        status, out = self._answer(machine, tuple(argv), stdin)
        if self.lingers and argv[0] == "systemd-run" and "join" in argv:
            await asyncio.sleep(3600)
        if check and status:
            raise CommandFailed(f"{argv[0]} failed", status=status, where=machine, detail=f"used {TOKEN}")
        return Completed(status, out.encode(), b"")

    def _answer(self, machine: str, argv: tuple[str, ...], stdin: bytes) -> tuple[int, str]:
        match argv[0]:
            case "sh":
                if argv[3:4] == ("lead",):
                    before, self.servers[machine] = self.servers.get(machine), argv[4]
                    return 0, "turned" if before != argv[4] else ""
                if argv[3:4] == ("ready",):
                    return (0, "") if "api" in self.has[machine] else (7, "")
                return self._shell(machine, argv[2], stdin)
            case "python3" if argv[-1] == anew._BEGIN_ETCD_ANEW:
                return 0, "anew" if machine in self.unbegun else ""
            case "kubectl":
                return self._kubectl(machine, argv)
            case "etcdctl":
                return self._etcdctl(machine, argv)
            case "systemd-run":
                return self._kubeadm(machine, argv[argv.index("/usr/local/bin/kubeadm") + 1 :])
            case "kubeadm" if argv[1] == "token":
                self.tokens["bootstrap-token-abcdef"] = argv[-1].removeprefix("--description=")
                return 0, TOKEN + "\n"
            case "touch":
                assert argv[1:] == (paths.PREPARED,)
                self.has[machine].add("prepared")
                return 0, ""
            case "kubeadm" if argv[1] == "reset":
                self.has[machine] -= {"identity", "embedded", "admin", "manifests", "bootstrap", "kubelet", "api"}
                self.has[machine] -= {"serving", "traces"}
                return 0, ""
            case "rm":
                if paths.DISCOVERY in argv:
                    self.memory.pop(machine, None)
                if paths.BOOTSTRAP in argv:
                    self.has[machine].discard("bootstrap")
                if paths.KUBELET in argv:
                    self.has[machine] -= {"identity", "embedded"}
                    self.unfinished.discard(machine)
                return 0, ""
            case "test":
                assert argv == ("test", "-s", paths.SERVING)
                return int("serving" not in self.has[machine]), ""
            case "systemctl":
                self.has[machine].add("kubelet")
                return 0, ""
            case "tail":
                return 0, f"something went wrong with {TOKEN}"
            case "ip":
                return 0, "[]"
            case "install" | "timeout":
                return 0, ""
            case _:
                raise AssertionError(f"nobody told the world of {argv}")

    def _shell(self, machine: str, script: str, stdin: bytes) -> tuple[int, str]:
        if script == facts._SCRIPT:
            return 0, "\n".join(sorted(self.has[machine]))
        if script == etcd_leaves._SCRIPT:
            self.has[machine].add("traces")
            return 0, ""
        if script.startswith("systemctl reset-failed "):
            return 0, ""
        if "cat >" in script:
            self.memory[machine] = stdin
            return 0, ""
        if "rm -" in script:
            self.has[machine] -= {"identity", "embedded", "traces", "admin", "manifests", "bootstrap", "prepared"}
            if f"{paths.ETCD_DATA}/*" in script:
                self.has[machine].discard("etcd")
            return 0, ""
        raise AssertionError(f"nobody told the world of {script}")

    def _api(self, machine: str) -> bool:
        return "admin" in self.has[machine] and any("api" in had for had in self.has.values()) and self.quorum

    def _kubectl(self, machine: str, argv: tuple[str, ...]) -> tuple[int, str]:
        if not self._api(machine):
            return 1, ""
        words = [word for word in argv[1:] if not word.startswith("-")]
        match words[:2]:
            case ["get", "nodes"]:
                return 0, json.dumps({"items": [self._node(name, labels) for name, labels in self.nodes.items()]})
            case ["get", "secrets"]:
                lines = [f"{name} {b64encode(text.encode()).decode()}" for name, text in self.tokens.items()]
                return 0, "\n".join(lines)
            case ["delete", "secrets"]:
                for name in words[2:]:
                    self.tokens.pop(name)
                return 0, ""
            case ["uncordon", name]:
                self.cordoned.discard(name)
                return 0, ""
            case ["delete", "node"]:
                self.nodes.pop(words[2], None)
                return 0, ""
            case ["label", "nodes"]:
                self.nodes[words[2]] |= {label.removesuffix("=") for label in words[3:]}
                return 0, ""
            case ["get", "certificatesigningrequests"]:
                return 0, json.dumps({"items": self.requests})
            case ["certificate", "approve"]:
                for item in self.requests:
                    if item["metadata"]["name"] in words[2:]:
                        item["status"] = {"conditions": [{"type": "Approved"}]}
                        self.has[item["spec"]["username"].rpartition(":")[2]].add("serving")
                return 0, ""
            case ["get", first] if first.startswith("configmap/"):
                return 0, "x\n" * (FOUNDATIONS if self.founded else 2)
            case ["taint", "nodes"] | ["get"]:
                return 0, "ok"
            case _:
                raise AssertionError(f"nobody told the world of {argv}")

    def _node(self, name: str, labels: set[str]) -> dict[str, Any]:
        taint = {"key": "node.kubernetes.io/unschedulable", "timeAdded": "2026-01-02T03:04:05Z"}
        return {
            "metadata": {"name": name, "labels": dict.fromkeys(labels, "")},
            "spec": {"unschedulable": True, "taints": [taint]} if name in self.cordoned else {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "nodeInfo": {"kubeletVersion": "v1.37.2"},
                "capacity": {"cpu": "2", "memory": "3Gi", "pods": "110"},
                "addresses": [{"type": "InternalIP", "address": "10.80.0.9"}],
            },
        }

    def _etcdctl(self, machine: str, argv: tuple[str, ...]) -> tuple[int, str]:
        if "etcd" not in self.has[machine] or not self.quorum:
            return 1, ""
        if "list" in argv:
            return 0, json.dumps({"header": {}, "members": self.members})
        if "remove" in argv:
            self.members = [member for member in self.members if f"{member['ID']:x}" != argv[-1]]
        return 0, ""

    def _kubeadm(self, machine: str, arguments: tuple[str, ...]) -> tuple[int, str]:
        if arguments[0] in self.fails:
            self.has[machine] |= {"manifests", "kubelet"}
            return 1, ""
        first, words = arguments[0], " ".join(arguments)
        if first == "init" and "--skip-phases" in words:
            if not self.has[machine].isdisjoint({"manifests", "etcd", "kubelet", "bootstrap"}):
                return 1, ""  # kubeadm's checks
            self.has[machine] |= {"identity", "embedded", "admin", "traces"}
            return 0, ""
        if arguments[:3] == ("init", "phase", "kubelet-start"):
            assert "identity" in self.has[machine]
            assert self.topology.api_host in self.servers[machine], "nobody answers it there"
            self.has[machine].add("kubelet")
            self.nodes.setdefault(machine, set())
            return 0, ""
        if first == "join" and "--skip-phases" in words:
            if {"identity", "admin", "kubelet"} - self.has[machine] or "etcd" in self.has[machine]:
                return 1, ""
            assert not [member for member in self.members if member.get("isLearner")]
            self.has[machine] |= {"etcd", "manifests", "api"}
            self.add_member(machine)
            return 0, ""
        if arguments[:3] == ("init", "phase", "kubeconfig"):
            if arguments[3] == "kubelet" and machine in self.unfinished:
                return 1, ""  # kubeadm refuses a kubeconfig that isn't whole
            self.has[machine] |= {"kubelet": {"identity", "embedded"}, "admin": {"admin"}}[arguments[3]]
        elif arguments[:3] == ("init", "phase", "kubelet-finalize"):
            self.has[machine].discard("embedded")
        elif arguments[:2] == ("init", "phase"):
            self.founded = True
        elif arguments[0] == "init":
            if "etcd" in self.has[machine]:
                self.members = []
            self.make_control_plane(machine)
            self.founded = True
            self.tokens["bootstrap-token-oldold"] = paths.TOKEN_DESCRIPTION
        else:
            self.seen_in_join.append(self.memory[machine])
            assert any("join of " + machine in text for text in self.tokens.values())
            if machine in self.nodes or "etcd" in self.has[machine]:
                return 1, ""
            self.has[machine] |= {"identity", "kubelet"}
            self.nodes[machine] = set()
        return 0, ""


def request(name: str, machine: Machine, pem: bytes, usages: Sequence[str] = ()) -> dict[str, Any]:
    """A pending request as `kubectl get csr --output=json` shows it."""
    return {
        "metadata": {"name": name},
        "spec": {
            "username": f"system:node:{machine.name}",
            "groups": ["system:nodes", "system:authenticated"],
            "usages": list(usages) or ["digital signature", "server auth"],
            "request": b64encode(pem).decode(),
        },
        "status": {},
    }
