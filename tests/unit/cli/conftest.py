"""Recipes that only note what they are asked, and a way to call the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import groundplane
from groundplane.events import Emit, reported, silent
from groundplane.recipes.common import Named, Wanted
from groundplane.recipes.way_in import Kubectl
from groundplane.rollout.apply import Applied
from groundplane.rollout.plan import Plan
from groundplane.spec import InvalidCluster
from groundplane.spec.model import ClusterSpec
from groundplane.topology.model import Secret
from groundplane.verify.report import Report, Result

if TYPE_CHECKING:
    from groundplane.bundle.sources import Mirrors
    from groundplane.drill import Suite
    from groundplane.status import PlatformStatus


@dataclass(frozen=True, slots=True)
class Options:
    """As ``recipes.Options``."""

    file: Path
    state_dir: Path | None = None
    cache_dir: Path | None = None
    emit: Emit = silent
    bundle_source: str = "auto"
    bundle_file: Path | None = None
    bundle_mirrors: Mirrors | None = None
    extra_images: tuple[Path, ...] = ()


def healthy() -> Report:
    return Report((Result("nodes", "all nodes are ready", True, "5 of 5", 1.5),), changed=True)


def a_status() -> PlatformStatus:
    """The real thing's types, imported where they are used: they bring all components along."""
    from groundplane.components.etcd.status import EtcdMember
    from groundplane.components.kubeadm.status import Certificate
    from groundplane.components.versions import Version
    from groundplane.status import MachineLine, NodeLine, PlatformStatus

    return PlatformStatus(
        name="lab",
        machines=(
            MachineLine("lb1", "balancer", ("balancer",), IPv4Address("10.80.0.11"), "running", True, 100 * 2**20, 3.5),
            MachineLine(
                "cp1", "control-plane", ("control-plane",), IPv4Address("10.80.0.21"), "running", False, 0, 0.0
            ),
        ),
        floating_address=IPv4Address("10.80.0.10"),
        floating_holder="lb1",
        quorum="lb1: 3 of 3 votes",
        pacemaker_leader="lb1",
        etcd_leader="",
        etcd=(EtcdMember("cp1", problem="no answer\nfor long"),),
        nodes=(NodeLine("cp1", False, "v1.37.2"),),
        certificates=(
            Certificate("cp1", "/etc/kubernetes/pki/apiserver.crt", datetime(2035, 1, 2, tzinfo=UTC)),
            Certificate("cp1", "/etc/kubernetes/pki/ca.crt", datetime(2036, 1, 2, tzinfo=UTC)),
            Certificate("lb1", "/etc/groundplane/pki/platform-ca.crt", datetime(2036, 5, 6, tzinfo=UTC)),
        ),
        versions=(
            Version("lb1", "HAProxy", "3.0.11"),
            Version("cp1", "containerd", "2.4.2"),
            Version("cp2", "containerd", "2.4.2"),
            Version("cp3", "containerd", "2.4.1"),
        ),
        problem="",
    )


def a_suite() -> Suite:
    """One crash that went well, and a drill that could not be done."""
    from tests.unit.drill.made import report

    from groundplane.drill import Refused, Suite

    return Suite((report(),), (Refused("clock-jump", "it needs a clock of its own"),))


@dataclass
class Recipes:
    """What commands ask for is in ``asked``; what they get can be set. ``error`` is raised by all of them."""

    asked: list[tuple[object, ...]] = field(default_factory=list)
    options: Options | None = None
    report: Report = field(default_factory=healthy)
    plans: list[Plan] = field(default_factory=lambda: [Plan()])  # one per look; the last one stays
    error: BaseException | None = None
    suite: Suite | None = None
    found: PlatformStatus | None = None
    fault: InvalidCluster | None = None
    borne: InvalidCluster | None = None
    there: bool = True
    off: tuple[str, ...] = ()
    log: Path = Path("console.log")
    during: Callable[[], None] = lambda: None

    def note(self, name: str, options: Options, *more: object) -> None:
        self.asked.append((name, *more))
        self.options = options
        if self.error is not None:
            raise self.error

    def validate(self, file: Path) -> ClusterSpec:
        if isinstance(self.error, groundplane.errors.SpecError):
            raise self.error
        return ClusterSpec(name=file.stem)

    async def up(self, options: Options) -> Report:
        with reported(options.emit, "cp1", "boot"):
            self.during()
        self.note("up", options)
        return self.report

    def named(self, options: Options) -> Named:
        spec = self.validate(options.file)
        return Named(spec.name, spec.provider, self.fault, self.borne)

    def wanted(self, options: Options) -> Wanted:
        return Wanted(self.validate(options.file), self.borne)

    async def down(self, options: Options) -> bool:
        self.note("down", options)
        return self.there

    async def plan(self, options: Options) -> Plan:
        self.note("plan", options)
        return self.plans[0]

    async def drift(self, options: Options) -> Plan:
        self.note("drift", options)
        return self.plans[0]

    async def watch_drift(self, options: Options, every: float, seen: Callable[[Plan], None]) -> None:
        self.note("watch", options, every)
        for plan in self.plans:
            seen(plan)

    async def apply(self, options: Options, agreed: Plan | None = None) -> Applied:
        self.note("apply", options, agreed)
        plan = self.plans[0]
        return Applied(plan) if plan.empty else Applied(plan, 1, self.report)

    def started_for(self, options: Options, names: Sequence[str]) -> tuple[str, ...]:
        self.note("started_for", options, tuple(names))
        return self.off

    async def replace(self, options: Options, names: Sequence[str]) -> Report:
        self.note("replace", options, tuple(names))
        return self.report

    async def verify(self, options: Options, only: Sequence[str] = ()) -> Report:
        self.note("verify", options, only)
        return self.report

    async def drill(self, options: Options, name: str) -> Suite:
        self.note("drill", options, name)
        return self.suite if self.suite is not None else a_suite()

    async def status(self, options: Options) -> PlatformStatus:
        self.note("status", options)
        return self.found or a_status()

    async def kubeconfig(self, options: Options) -> Secret:
        self.note("kubeconfig", options)
        return Secret(b"apiVersion: v1\n")

    async def power(self, options: Options, on: bool, names: Sequence[str] = (), *, force: bool = False) -> None:
        self.note("power", options, on, names, force)

    def ssh(self, options: Options, machine: str, argv: Sequence[str]) -> int:
        self.note("ssh", options, machine, list(argv))
        return 7

    async def kubectl(self, options: Options) -> Kubectl:
        self.note("kubectl", options)
        return Kubectl(Path("/software/kubectl"), Secret(b"apiVersion: v1\n"), Path("/cache"))

    def console(self, options: Options, machine: str) -> Path:
        self.note("console", options, machine)
        return self.log

    def render(self, options: Options, out: Path, show_secrets: bool = False) -> tuple[Path, ...]:
        self.note("render", options, out, show_secrets)
        return (out / "cp1/etc/hosts",)


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Recipes:
    """The scripted recipes, in the real ones's place."""
    fake = Recipes()
    module = ModuleType("groundplane.recipes")
    module.Options = Options  # type: ignore[attr-defined]
    for name in (
        "validate",
        "named",
        "wanted",
        "up",
        "down",
        "plan",
        "drift",
        "watch_drift",
        "apply",
        "started_for",
        "replace",
        "verify",
        "status",
        "drill",
        "kubeconfig",
        "power",
        "ssh",
        "kubectl",
        "console",
        "render",
    ):
        setattr(module, name, getattr(fake, name))
    monkeypatch.setitem(sys.modules, "groundplane.recipes", module)
    monkeypatch.setattr(groundplane, "recipes", module, raising=False)
    return fake


@pytest.fixture
def gp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call groundplane with these words, as root, in an empty folder."""
    from groundplane.cli.app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("GROUNDPLANE_FILE", "SUDO_USER", "SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("groundplane.cli.root.is_root", lambda: True)

    def call(*words: str, typed: str | None = None) -> Answer:
        result = CliRunner().invoke(app, words, input=typed, prog_name="groundplane", env=dict(os.environ))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call
