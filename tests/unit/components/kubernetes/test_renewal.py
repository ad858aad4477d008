"""Which certificates are renewed, and how that is brought about."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from groundplane.components.renewal import wanted
from groundplane.components.renewal.checks import amiss, checks
from groundplane.components.renewal.fragment import RENEW_PROGRAM, TURN, fragment
from groundplane.components.renewal.remote import look, renew
from groundplane.components.renewal.remote.renew import Credential, Fault, Seen, fault
from groundplane.components.renewal.steps import steps
from groundplane.errors import CommandFailed, StepError
from groundplane.state.model import File
from groundplane.state.step import Completed
from groundplane.topology.model import Topology
from groundplane.transport.fake import FakeTransport
from groundplane.verify.condition import NotYet

Run = Callable[[Awaitable[Any]], Any]
STOPPING = 1.5
"""Minutes that systemd gives what it ends (systemd-system.conf(5), DefaultTimeoutStopSec)."""
NOW = datetime(2026, 7, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
FRESH = Seen(NOW - timedelta(days=1), NOW + YEAR, frozenset({"cp1", "10.80.0.21", "::1"}), signed=True, fits=True)


def aged(days: int) -> Seen:
    return replace(FRESH, begins=NOW - timedelta(days=days), ends=NOW - timedelta(days=days) + YEAR)


# -- the judgement ----------------------------------------------------------------------------------------------------


def test_a_good_certificate_is_left_alone() -> None:
    assert fault(FRESH, ("cp1", "10.80.0.21", "0:0:0:0:0:0:0:1"), NOW) is None
    assert fault(aged(243), (), NOW) is None


def test_it_is_renewed_after_two_thirds_of_its_life() -> None:
    due = fault(aged(244), (), NOW)
    assert due is not None
    assert not due.broken
    assert "ends at 2026-10-30" in due.words
    assert fault(aged(300), (), NOW, itself=True) is None, "its owner renews it"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "missing"),
        (aged(365), "ended at 2026-07-01 00:00:00 UTC"),
        (replace(FRESH, signed=False), "isn't of the platform's authority"),
        (replace(FRESH, trusts=False), "trusts another authority"),
        (replace(FRESH, fits=False), "has another key"),
        (replace(FRESH, names=frozenset({"cp1"})), "isn't made out to 10.80.0.21"),
    ],
)
def test_what_nobody_believes_is_broken_whoever_renews_it(seen: Seen | None, words: str) -> None:
    for itself in (False, True):
        found = fault(seen, ("cp1", "10.80.0.21"), NOW, itself=itself)
        assert found is not None
        assert found.broken
        assert words in found.words


def test_a_clock_that_is_behind_renews_nothing() -> None:
    assert fault(replace(FRESH, begins=NOW + timedelta(days=30)), (), NOW) is None


# -- on the machine ---------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program's folders, in ``tmp_path``."""
    for name, folder in (("KUBERNETES", "kubernetes"), ("RUN", "run")):
        monkeypatch.setattr(renew, name, tmp_path / folder)
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(renew, "CURRENT", tmp_path / "kubelet" / "kubelet-client-current.pem")
    (tmp_path / "kubelet").mkdir()
    for folder in ("kubernetes/pki/etcd", "kubernetes/manifests", "new/pki/etcd"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def judging(monkeypatch: pytest.MonkeyPatch, verdicts: dict[tuple[str, str], Seen | None]) -> None:
    """What openssl would say, by the credential's path and its folder's name."""

    def read(credential: Credential, folder: Path, _: str) -> Seen | None:
        return verdicts.get((credential.path, folder.name), FRESH)

    monkeypatch.setattr(renew, "read", read)


def told() -> renew.Wanted:
    return renew.Wanted("https://10.80.0.21:6443", {}, dict.fromkeys(renew.AUTHORITIES, "PEM"))


def test_before_kubeadm_began_nothing_is_missing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judging(monkeypatch, {(one.path, "kubernetes"): None for one in renew.CREDENTIALS})
    assert renew.faults(told()) == {}


def test_what_a_static_pod_needs_must_be_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judging(monkeypatch, {(one.path, "kubernetes"): None for one in renew.CREDENTIALS})
    (here / "kubernetes/manifests/kube-scheduler.yaml").touch()
    assert [one.path for one in renew.faults(told())] == ["scheduler.conf"]


def test_the_kubelets_own_is_what_it_renews_and_not_what_it_began_with(here: Path) -> None:
    kubeconfig = here / "kubernetes/kubelet.conf"
    kubeconfig.write_bytes(b"users:\n- user:\n    client-certificate-data: Y2VydA==\n    client-key-data: a2V5\n")
    assert renew.pair(renew.OWN, here / "kubernetes") == b"certkey"
    (here / "kubelet/kubelet-client-current.pem").write_bytes(b"renewed")
    assert renew.pair(renew.OWN, here / "kubernetes") == b"renewed"


def test_nothing_takes_a_place_that_is_no_better(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaf, conf = renew.CREDENTIALS[1], renew.CREDENTIALS[-2]
    near, now = Fault("ends soon", broken=False), datetime.now(UTC)
    new, old = (replace(FRESH, begins=now - YEAR, ends=now + timedelta(days=days)) for days in (365, 60))
    kept = {(one.path, "kubernetes"): old for one in (leaf, conf)}
    judging(monkeypatch, {**kept, (leaf.path, "new"): new, (conf.path, "new"): old})
    assert renew.better({leaf: near, conf: near}, here / "new", told()) == [leaf], "the authority's own end is near"
    assert renew.better({conf: Fault("ended")}, here / "new", told()) == [conf], "better a short one than none"
    judging(monkeypatch, {(leaf.path, "new"): replace(new, signed=False)})
    with pytest.raises(
        renew.Failed, match=r"pki/apiserver-kubelet-client ended, and the one made now isn't of the platform's"
    ):
        renew.better({leaf: Fault("ended")}, here / "new", told())


def test_a_pair_keeps_its_modes_and_nobody_is_started_anew(here: Path) -> None:
    leaf = next(one for one in renew.CREDENTIALS if one.path == "pki/etcd/server")
    for ending in ("crt", "key"):
        (here / f"new/pki/etcd/server.{ending}").write_text(f"new {ending}")
    (here / "kubernetes/pki/etcd/server.crt").write_text("old")
    (here / "kubernetes/pki/etcd/server.crt").chmod(0o644)
    renew.install(leaf, here / "new")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in sorted((here / "kubernetes/pki/etcd").iterdir())}
    assert modes == {"server.crt": 0o644, "server.key": 0o640}, "a new one etcd's user can read"
    assert (here / "kubernetes/pki/etcd/server.key").read_text() == "new key"
    assert renew.waiting() == []


def test_who_reads_it_at_its_start_is_remembered_until_it_took_it_up(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[tuple[str, ...]]()

    def call(*argv: str, **_: Any) -> Any:
        done.append(argv)
        return type("Done", (), {"stdout": b"", "returncode": 0})()

    monkeypatch.setattr(renew, "call", call)
    monkeypatch.setattr(renew, "ready", lambda _: True)
    (here / "new/scheduler.conf").write_text("new")
    (here / "new/kubelet.conf").write_bytes(b"    client-certificate-data: Y2VydA==\n    client-key-data: a2V5\n")
    for path in ("scheduler.conf", "kubelet.conf"):
        renew.install(next(one for one in renew.CREDENTIALS if one.path == path), here / "new")
    assert renew.waiting() == ["kubelet", "kube-scheduler"]
    current = here / "kubelet/kubelet-client-current.pem"
    assert current.read_bytes() == b"certkey"
    assert os.readlink(current).startswith(str(here / "kubelet/kubelet-client-2"))
    named = (here / "kubernetes/kubelet.conf").read_text()
    assert named == f"    client-certificate: {current}\n    client-key: {current}\n"
    renew.take_up(told())
    assert renew.waiting() == []
    assert ("systemctl", "restart", "kubelet") in done
    assert any(renew.SCHEDULER in word for argv in done for word in argv)


# -- what is remembered of a look -------------------------------------------------------------------------------------


@pytest.fixture
def looked(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folders, where a look finds them."""
    for name, folder in (
        ("KUBERNETES", "kubernetes"),
        ("KUBELET", "kubelet"),
        ("RUN", "run"),
        ("MEMORY", "memory/good"),
    ):
        monkeypatch.setattr(look, name, str(here / folder))
    for one in renew.CREDENTIALS:
        path = here / "kubernetes" / one.path
        (path if path.suffix else path.with_name(f"{path.name}.crt")).write_text("old")
    return here


class Judge:
    """Who is asked where nothing is remembered: ``asked`` is how often, ``said`` what it answers."""

    def __init__(self, said: str = "", until: float = 2e9) -> None:
        self.said, self.until, self.asked = said, until, 0

    def __call__(self, *_: object) -> tuple[str, float]:
        self.asked += 1
        return self.said, self.until


def test_certificates_that_were_good_are_not_read_again(looked: Path) -> None:
    judge = Judge()
    assert [look.look("program", b"wanted", judge) for _ in range(3)] == ["", "", ""]
    assert judge.asked == 1


@pytest.mark.parametrize("path", [*(one.path for one in renew.CREDENTIALS), "manifests/etcd.yaml"])
def test_they_are_where_anything_of_it_is_another(looked: Path, path: str) -> None:
    judge = Judge()
    look.look("program", b"wanted", judge)
    there = looked / "kubernetes" / path
    for ending in ("",) if there.suffix else (".crt", ".key"):
        asked = judge.asked
        there.with_name(there.name + ending).write_text("new")
        look.look("program", b"wanted", judge)
        assert judge.asked == asked + 1
        there.with_name(there.name + ending).unlink()
        look.look("program", b"wanted", judge)
        assert judge.asked == asked + 2


def test_they_are_where_the_kubelet_has_another_somebody_waits_or_other_ones_are_wanted(looked: Path) -> None:
    judge = Judge()
    look.look("program", b"wanted", judge)
    (looked / "kubelet/kubelet-client-2.pem").write_text("its own")
    renew.CURRENT.symlink_to(looked / "kubelet/kubelet-client-2.pem")
    look.look("program", b"wanted", judge)
    assert judge.asked == 2
    (looked / "run/kubelet").touch()
    look.look("program", b"wanted", judge)
    assert judge.asked == 3
    look.look("program", b"other names", judge)
    look.look("another program", b"other names", judge)
    assert judge.asked == 5


def test_a_fault_is_not_remembered_nor_what_has_come_to_be_due(looked: Path) -> None:
    for judge in (Judge(said="admin.conf is missing"), Judge(until=1.0)):
        assert [look.look("program", b"wanted", judge) for _ in range(2)] == [judge.said] * 2
        assert judge.asked == 2


def test_it_is_remembered_until_the_first_is_due(looked: Path) -> None:
    """By the rules of the program it is given: in its own namespace, with what openssl would say of its own here."""
    (looked / "kubernetes/manifests/kube-apiserver.yaml").touch()
    text = RENEW_PROGRAM.replace('Path("/etc/kubernetes")', f'Path("{looked}/kubernetes")').replace(
        'Path("/run/groundplane/renewal")', f'Path("{looked}/run")'
    )
    begins = datetime.now(UTC) - timedelta(days=30)
    text += f"""
def read(credential, folder, authority):
    days = {{"admin.conf": 300, "kubelet.conf": 90}}.get(credential.path, 365)
    begins = datetime.fromisoformat({begins.isoformat()!r})
    return Seen(begins, begins + timedelta(days=days), frozenset(), True, True)
"""
    wanted = json.dumps({"api": "", "names": {}, "authorities": dict.fromkeys(renew.AUTHORITIES, "PEM")}).encode()
    assert look.judged(text, wanted) == ("", (begins + timedelta(days=90)).timestamp()), "the kubelet's, at its end"
    text = text.replace('"kubelet.conf": 90', '"kubelet.conf": 365')
    assert look.judged(text, wanted) == ("", (begins + timedelta(days=200)).timestamp())
    text = text.replace('"admin.conf": 300', '"admin.conf": 40')
    said, until = look.judged(text, wanted)
    assert (said.split()[0], until) == ("admin.conf", 0.0)


# -- the step and the check -------------------------------------------------------------------------------------------


class Machine(FakeTransport):
    """A control plane of which the program says ``left`` until it has renewed; ``runs`` are its arguments and input."""

    def __init__(self, left: str, *, fails: str = "") -> None:
        super().__init__()
        self.left, self.fails, self.runs = left, fails, list[tuple[str, dict[str, Any]]]()

    async def run(
        self, machine: str, argv: Any, *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        if argv[0] == "sh":  # whether a kubeadm of an earlier run goes on
            return Completed(0, b"identity\n", b"")
        command = "look" if argv[3] == "-c" else argv[-1]
        assert argv[-1 if command == "look" else -2] == RENEW_PROGRAM
        self.runs.append((command, json.loads(stdin)))
        if command == "renew":
            if self.fails:
                raise CommandFailed("python3 failed", status=1, where=machine, detail=self.fails)
            self.left = ""
        return Completed(0, self.left.encode(), b"")


def test_it_is_shown_renewed_and_asked_again(topology: Topology, run: Run) -> None:
    step = steps(topology)[0]
    machine = Machine("pki/apiserver ended at 2025-01-01 00:00:00 UTC\nadmin.conf has another key")

    async def main() -> None:
        assert not await step.probe(machine)
        assert step.instead is not None
        seen, _ = await step.instead(machine)
        assert seen == "pki/apiserver ended at 2025-01-01 00:00:00 UTC; admin.conf has another key"
        await step.act(machine)
        assert await step.probe(machine)

    run(main())
    assert all("keys" not in given for command, given in machine.runs if command == "look")
    (given,) = (given for command, given in machine.runs if command == "renew")
    assert renew.Wanted(**given).key("ca") == topology.secrets.kubernetes_ca.key.text()


def test_what_the_program_can_not_do_is_told(topology: Topology, run: Run) -> None:
    with pytest.raises(StepError, match="could not be renewed") as caught:
        run(steps(topology)[0].act(Machine("x", fails="kubeadm makes no certificates: no space")))
    assert "no space" in caught.value.detail


def test_each_control_plane_comes_before_all_that_needs_the_api(topology: Topology) -> None:
    from groundplane.components.kubeadm.steps import steps as kubeadm

    init = next(step for step in kubeadm(topology) if step.name == "kubeadm-init")
    assert set(init.needs) == {step.name for step in steps(topology)}
    assert {step.mends for step in steps(topology)} == {()}, "it waits for nobody"


def test_the_names_are_kubeadms(topology: Topology) -> None:
    told = json.loads(wanted.certificates(topology, topology.machine("cp1")))
    assert "keys" not in told
    assert {"cp1", "10.80.0.21", "10.80.0.10", "10.96.0.1", "kubernetes.default.svc"} <= set(told["names"]["apiserver"])
    assert set(told["names"]["etcd"]) == {"cp1", "10.80.0.21", "localhost", "127.0.0.1", "::1"}


SHOWN = """\
Id=groundplane-renew.timer
ActiveState=active
Result=success

Id=groundplane-renew.service
ActiveState=inactive
Result=success

Id=groundplane-mend.timer
ActiveState=active
Result=success

Id=groundplane-mend.service
ActiveState=inactive
Result=success

Id=groundplane-approve.timer
ActiveState=active
Result=success

Id=groundplane-approve.service
ActiveState=activating
Result=success
"""


def test_no_two_control_planes_renew_at_the_same_time(topology: Topology) -> None:
    nine = (machine for number in range(1, 10) for machine in (replace(topology.machine("cp1"), name=f"cp{number}"),))
    large = replace(topology, machines=(*nine, *topology.workers))
    begin = []
    for machine in large.control_planes:
        found = {one.path: one.content.decode() for one in _files(large, machine)}
        timer = found["/etc/systemd/system/groundplane-renew.timer"]
        (minute,) = re.findall(r"^OnCalendar=\*:(\d\d):00 UTC$", timer, re.MULTILINE)
        assert re.findall(r"^On\w+=", timer, re.MULTILINE) == ["OnCalendar="], "and at no other time"
        assert "AccuracySec=1s\n" in timer
        (minutes,) = re.findall(
            r"^TimeoutStartSec=(\d+)min$", found["/etc/systemd/system/groundplane-renew.service"], re.MULTILINE
        )
        assert int(minutes) + STOPPING < TURN
        begin.append(int(minute))
    assert all(later - earlier >= TURN for earlier, later in pairwise([*begin, begin[0] + 60]))


def test_after_a_boot_what_only_becomes_due_waits_for_its_turn(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api, admin = renew.CREDENTIALS[0], next(one for one in renew.CREDENTIALS if one.path == "admin.conf")
    found = {api: Fault("ended"), admin: Fault("two thirds of its life are over", broken=False)}
    done = list[str]()
    monkeypatch.setattr(renew, "faults", lambda _: found)
    monkeypatch.setattr(renew, "call", lambda *_, **__: type("Done", (), {"stdout": b"inactive"})())
    monkeypatch.setattr(renew, "make", lambda *_: None)
    monkeypatch.setattr(renew, "better", lambda due, *_: list(due))
    monkeypatch.setattr(renew, "install", lambda credential, _: done.append(credential.path))
    monkeypatch.setattr(renew, "take_up", lambda _: None)
    renew.mend(told())
    assert done == ["pki/apiserver"]
    renew.renew(told())
    assert done[1:] == ["pki/apiserver", "admin.conf"]


def _files(topology: Topology, machine: Any) -> list[File]:
    made = fragment(topology, machine)
    assert made is not None
    return [one for one in made.resources if isinstance(one, File)]


def test_timers_must_run_and_their_services_end_well(topology: Topology, run: Run) -> None:
    assert amiss(SHOWN) == ""
    off = SHOWN.replace("ActiveState=active\n", "ActiveState=inactive\n", 1)
    assert amiss(off) == "groundplane-renew.timer is not running"
    failed = "approve.service".join(part.replace("success", "exit-code") for part in SHOWN.split("approve.service")[1:])
    assert "groundplane-approve.service failed" in amiss(SHOWN.split("approve.service")[0] + "approve.service" + failed)
    reach = FakeTransport()
    reach.on("*", "systemctl", answers=off)
    (check,) = checks(topology)
    with pytest.raises(NotYet, match=r"cp1: groundplane-renew\.timer is not running"):
        run(check.probe(reach))
