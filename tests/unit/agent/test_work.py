"""The agent's whole work on a temporary root, with a systemd that follows the rules of the real one."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest

from groundplane.agent import contents, files, kernel, lock
from groundplane.agent.error import AgentError
from groundplane.agent.machine import LocalMachine
from groundplane.agent.main import work
from groundplane.agent.runner import NOT_FOUND, Ran, Running
from groundplane.state.change import Change, Done, Ended, Refused, Wanted
from groundplane.state.derived import MANIFEST
from groundplane.state.model import (
    Address,
    Artifact,
    DataFolder,
    Directory,
    File,
    MachineState,
    Package,
    Symlink,
    Sysctl,
    Unit,
    User,
)
from groundplane.state.wire import Event

CONF = File("/etc/x.conf", b"good 1\n")
KEY = File("/etc/x.key", b"hunter2 is the key\n", mode=0o600, secret=True)
DROP_IN = File("/etc/systemd/system/x.service.d/a.conf", b"[Service]\n")
UNIT = Unit("x.service", reads=(CONF.path, KEY.path))
STATE = MachineState("m", files=(DROP_IN, CONF, KEY), units=(UNIT,))


@dataclass
class Systemd:
    """Enough of systemctl, dpkg-query and the checkers. A unit runs if ``runs`` says so when it is (re)started, and
    reloads well if ``reloads`` does."""

    known: tuple[str, ...] = ("x.service", "y.service")
    runs: Callable[[str], bool] = lambda _: True
    reloads: Callable[[str], bool] = lambda _: True
    active: dict[str, int] = field(default_factory=dict)
    enabled: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    ends_badly: set[str] = field(default_factory=set)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    answers: dict[str, Ran] = field(default_factory=dict)
    killed_at: str = ""
    clock: float = 100.0

    def start(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] | None = None) -> Running:
        return _Over(self.run(argv))

    def run(self, argv: Sequence[str], timeout: float = 60, extra: Mapping[str, str] | None = None) -> Ran:
        self.calls.append(tuple(argv))
        if self.killed_at and self.killed_at in argv:
            raise KeyboardInterrupt  # nothing in the agent catches it, as nothing catches SIGKILL
        if argv[0] != "systemctl":
            return self.answers.get(argv[0], Ran(NOT_FOUND, "", f"{argv[0]}: No such file or directory"))
        verb, names = argv[1], [word for word in argv[2:] if not word.startswith("--")]
        if verb == "show":
            return Ran(0, "\n\n".join(self._shown(name) for name in names) + "\n")
        for name in names:
            self._do(verb, name)
        if verb == "reload" and not all(self.reloads(name) for name in names):
            return Ran(1, "", "Job failed")
        return Ran(0)

    def _do(self, verb: str, name: str) -> None:
        self.clock += 1
        if verb in ("enable", "disable"):
            (self.enabled.add if verb == "enable" else self.enabled.discard)(name)
        elif verb == "stop" or (verb == "restart" and not self.runs(name)):
            self.active.pop(name, None)
            if name in self.ends_badly:
                self.failed.add(name)
        elif verb == "reset-failed":
            self.failed.discard(name)
        elif verb == "restart":
            self.active[name] = int(self.clock * 1e6)

    def _shown(self, name: str) -> str:
        return "\n".join(
            (
                f"LoadState={'loaded' if name in self.known else 'not-found'}",
                f"ActiveState={'active' if name in self.active else 'failed' if name in self.failed else 'inactive'}",
                f"SubState={'running' if name in self.active else 'dead'}",
                f"UnitFileState={'enabled' if name in self.enabled else 'disabled'}",
                "Type=notify",
                "NeedDaemonReload=no",
                "InactiveEnterTimestampMonotonic=50000000",
                f"ActiveEnterTimestampMonotonic={self.active.get(name, 0)}",
                "NRestarts=0",
            )
        )

    def did(self, *beginning: str) -> list[tuple[str, ...]]:
        return [call for call in self.calls if call[: len(beginning)] == beginning]


@dataclass(frozen=True)
class _Over:
    ran: Ran

    def wait(self) -> Ran:
        return self.ran


@dataclass
class Ground:
    """A temporary machine, and what its agent said in the last run."""

    root: Path
    systemd: Systemd = field(default_factory=Systemd)
    said: list[Event] = field(default_factory=list)

    @property
    def machine(self) -> LocalMachine:
        return LocalMachine(str(self.root), self.systemd, now=lambda: 1000.0, monotonic=lambda: 100.0)

    def apply(self, state: MachineState) -> list[Event]:
        return self._work(state, alone=True)

    def look(self, state: MachineState) -> list[Event]:
        return self._work(state, alone=False)

    def _work(self, state: MachineState, *, alone: bool) -> list[Event]:
        self.systemd.calls.clear()
        self.said = []
        work(self.machine, state, self.said.append, alone=alone)
        return self.said

    def read(self, path: str) -> bytes:
        return (self.root / path.lstrip("/")).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.root / path.lstrip("/"))

    def problems(self) -> dict[str, Done]:
        return {event.change.key: event for event in self.said if isinstance(event, Done) and event.problem}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    found = Ground(tmp_path)
    found.write("/etc/passwd", f"root:x:{os.geteuid()}:0:root:/root:/bin/bash\n".encode())
    found.write("/etc/group", f"root:x:{os.getegid()}:\n".encode())
    return found


def with_conf(content: bytes) -> MachineState:
    return replace(STATE, files=(DROP_IN, replace(CONF, content=content), KEY))


def bad_conf(ground: Ground) -> Callable[[str], bool]:
    return lambda _: b"bad" not in ground.read(CONF.path)


def test_brings_a_bare_machine_to_its_state_and_then_finds_nothing(ground: Ground) -> None:
    said = ground.apply(STATE)
    assert not ground.problems()
    assert isinstance(said[-1], Ended)
    assert ground.read(CONF.path) == CONF.content
    assert (ground.root / "etc/x.key").stat().st_mode & 0o7777 == 0o600
    assert json.loads(ground.read(MANIFEST))["units"] == ["x.service"]
    assert ground.systemd.did("systemctl", "daemon-reload")
    assert ground.look(STATE) == [Ended(0)]
    assert ground.apply(STATE) == [Ended(0)]
    assert not ground.exists("/var/lib/groundplane/pending.json")
    assert not ground.exists(files.KEPT)


def test_units_restart_once_and_together_for_all_they_read(ground: Ground) -> None:
    state = replace(STATE, units=(UNIT, Unit("y.service", reads=("/etc",))))
    ground.apply(state)
    key = replace(KEY, content=b"another key entirely\n")
    ground.apply(replace(state, files=(DROP_IN, replace(CONF, content=b"good 2\n"), key)))
    assert ground.systemd.did("systemctl", "restart") == [("systemctl", "restart", "x.service", "y.service")]
    assert not ground.systemd.did("systemctl", "daemon-reload")[1:]


def test_a_unit_that_fails_has_what_it_reads_put_back(ground: Ground) -> None:
    ground.apply(STATE)
    ground.systemd.runs = bad_conf(ground)
    ground.systemd.answers["journalctl"] = Ran(0, "x[1]: line 1: no such thing: bad 2\n")
    ground.apply(with_conf(b"bad 2\n"))
    assert ground.read(CONF.path) == CONF.content
    assert "x.service" in ground.systemd.active
    failed = ground.problems()
    assert set(failed) == {CONF.path, "x.service"}
    assert "no such thing" in failed["x.service"].detail
    assert "runs again with /etc/x.conf as before" in failed["x.service"].hint
    assert ground.look(STATE) == [Ended(0)]
    assert not ground.exists(files.KEPT)


def test_a_new_file_that_breaks_a_running_unit_goes_again(ground: Ground) -> None:
    ground.apply(STATE)
    extra = File("/etc/systemd/system/x.service.d/b.conf", b"bad")
    unit = replace(UNIT, reads=(*UNIT.reads, extra.path))
    ground.systemd.runs = lambda _: not ground.exists(extra.path)
    ground.apply(replace(STATE, files=(DROP_IN, extra, CONF, KEY), units=(unit,)))
    assert not ground.exists(extra.path)
    assert "x.service" in ground.systemd.active
    assert len(ground.systemd.did("systemctl", "daemon-reload")) == 2


def test_a_unit_that_never_ran_keeps_its_new_files(ground: Ground) -> None:
    ground.systemd.runs = lambda _: False
    ground.apply(STATE)
    assert set(ground.problems()) == {"x.service"}
    assert ground.read(CONF.path) == CONF.content
    ground.systemd.runs = lambda _: True
    ground.apply(STATE)
    assert not ground.problems()
    assert ground.look(STATE) == [Ended(0)]


def test_secrets_stay_out_of_what_is_said(ground: Ground) -> None:
    ground.apply(STATE)
    ground.systemd.runs = lambda _: b"hunter3" not in ground.read(KEY.path)
    ground.systemd.answers["journalctl"] = Ran(0, "cannot parse: hunter3 is the key\n")
    key = replace(KEY, content=b"hunter3 is the key\n", check=("checker", "{}"))
    ground.systemd.answers["checker"] = Ran(0)
    state = replace(STATE, files=(DROP_IN, CONF, key))
    ground.apply(state)
    assert ground.problems()["x.service"].detail == "cannot parse: ***"
    ground.systemd.answers["checker"] = Ran(1, "", "line 1: hunter3 is the key")
    ground.look(state)
    assert [event.detail for event in ground.said if isinstance(event, Refused)] == ["line 1: ***"]
    assert not [event for event in ground.said if isinstance(event, Change) and event.diff]


def test_a_run_killed_before_the_restart_is_finished_by_the_next(ground: Ground) -> None:
    ground.apply(STATE)
    ground.systemd.killed_at = "restart"
    with pytest.raises(KeyboardInterrupt):
        ground.apply(with_conf(b"good 2\n"))
    ground.systemd.killed_at = ""
    kept = ground.root / files.KEPT.lstrip("/")
    assert (kept / "etc/x.conf").read_bytes() == CONF.content
    assert kept.stat().st_mode & 0o777 == 0o700
    (found, _) = ground.look(with_conf(b"good 2\n"))
    assert isinstance(found, Change)
    assert (found.key, found.why) == ("x.service", "has not taken up what it reads since that changed")
    ground.apply(with_conf(b"good 2\n"))
    assert ground.look(with_conf(b"good 2\n")) == [Ended(0)]
    assert not kept.exists()


def test_a_run_killed_before_the_restart_can_still_be_undone(ground: Ground) -> None:
    ground.apply(STATE)
    ground.systemd.killed_at = "restart"
    with pytest.raises(KeyboardInterrupt):
        ground.apply(with_conf(b"bad 2\n"))
    ground.systemd.killed_at, ground.systemd.runs = "", bad_conf(ground)
    ground.apply(with_conf(b"bad 3\n"))
    assert ground.read(CONF.path) == CONF.content
    assert "x.service" in ground.systemd.active


def test_a_reload_that_fails_is_undone_as_well(ground: Ground) -> None:
    state = replace(STATE, units=(replace(UNIT, reloads=True),))
    ground.apply(state)
    ground.systemd.reloads = bad_conf(ground)
    ground.apply(replace(with_conf(b"bad 2\n"), units=state.units))
    assert "did not take up" in ground.problems()["x.service"].problem
    assert not ground.systemd.did("systemctl", "restart")
    assert ground.read(CONF.path) == CONF.content


def test_a_unit_that_its_keeper_stopped_has_nothing_to_take_up(ground: Ground) -> None:
    """As Pacemaker stops HAProxy where Corosync begins anew for the same change."""
    state = replace(STATE, units=(replace(UNIT, reloads=True),))
    ground.apply(state)
    kept = replace(UNIT, reloads=True, active=None)

    def stopped(name: str) -> bool:
        ground.systemd.active.pop(name, None)
        return False

    ground.systemd.reloads = stopped
    ground.apply(replace(with_conf(b"good 2\n"), units=(kept,)))
    assert not ground.problems()
    assert ground.read(CONF.path) == b"good 2\n"
    ground.systemd.active[UNIT.name] = 1
    ground.apply(replace(with_conf(b"good 3\n"), units=state.units))
    assert "did not take up" in ground.problems()["x.service"].problem, "nobody else starts it"


def test_a_file_its_program_does_not_accept_touches_nothing(ground: Ground) -> None:
    ground.apply(STATE)
    seen: list[str] = []
    state = with_conf(b"nonsense\n")
    state = replace(state, files=(*state.files[:1], replace(state.files[1], check=("checker", "-f", "{}")), KEY))
    ground.systemd.answers["checker"] = Ran(1, "", f"{ground.root}{lock.RUN}/check-{os.getpid()}/x.conf:1: what?")
    for act in (ground.look, ground.apply):
        refused = [event for event in act(state) if isinstance(event, Refused)]
        seen += [f"{event.problem}: {event.detail}" for event in refused]
        assert ground.systemd.did("checker")[0][2].endswith("/x.conf")
        assert not ground.systemd.did("systemctl", "restart")
    assert seen == ["checker does not accept /etc/x.conf: /etc/x.conf:1: what?"] * 2
    assert ground.read(CONF.path) == CONF.content
    assert sorted(path.name for path in (ground.root / lock.RUN.lstrip("/")).iterdir()) == ["agent.lock"]


def test_a_checker_that_is_not_there_refuses_unless_its_package_is_to_come(ground: Ground) -> None:
    state = MachineState("m", files=(replace(CONF, check=("checker", "{}")),))
    assert [event.problem for event in ground.look(state) if isinstance(event, Refused)] == [
        "checker, which checks it, is not on the machine"
    ]
    ground.systemd.answers["dpkg-query"] = Ran(1, "")
    more = replace(state, packages=(Package("checker"),))
    assert not [event for event in ground.look(more) if isinstance(event, Refused)]


def test_a_file_that_names_another_one_to_come_is_not_judged_alone(ground: Ground) -> None:
    conf = replace(CONF, content=b"key /etc/x.key\n", check=("checker", "{}"))
    ground.systemd.answers["checker"] = Ran(1, "", "no such file: /etc/x.key")
    assert not [event for event in ground.look(replace(STATE, files=(conf, KEY))) if isinstance(event, Refused)]
    assert [event for event in ground.look(replace(STATE, files=(conf,))) if isinstance(event, Refused)]


def test_what_is_in_the_way_or_missing_is_refused(ground: Ground) -> None:
    (ground.root / "etc/x.conf").mkdir()
    ground.write("/srv", b"a file")
    state = MachineState("m", files=(CONF,), directories=(Directory("/srv"),), artifacts=(Artifact("a", "/opt/a"),))
    refused = {event.change.key: event.problem for event in ground.apply(state) if isinstance(event, Refused)}
    assert refused["/etc/x.conf"] == "/etc/x.conf is a folder"
    assert refused["/srv"] == "/srv is a file, not a folder"
    assert "did not come with the machine" in refused["/opt/a"]
    assert not [event for event in ground.said if isinstance(event, Done)]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "make room on the machine's disk"), (errno.EROFS, "mounted read-only")],
)
def test_a_file_that_cannot_be_written_leaves_all_as_it_was(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    ground.apply(STATE)
    write = files._write

    def full(place: str, content: Iterable[bytes], mode: int, uid: int, gid: int) -> None:
        if b"".join(pieces := list(content)).startswith(b"new key"):
            raise OSError(number, os.strerror(number))
        write(place, pieces, mode, uid, gid)

    state = replace(with_conf(b"good 2\n"), files=(CONF, replace(KEY, content=b"new key, long\n")))
    state = replace(state, files=(DROP_IN, replace(CONF, content=b"good 2\n"), state.files[1]))
    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", full)
        ground.apply(state)
    assert words in ground.problems()[KEY.path].hint
    assert ground.read(CONF.path) == CONF.content
    assert sorted(path.name for path in (ground.root / "etc").glob(".*")) == []
    ground.apply(state)
    assert ground.look(state) == [Ended(0)]


def test_what_is_no_longer_wanted_goes_and_what_is_not_ours_stays(ground: Ground) -> None:
    ground.apply(replace(STATE, links=(Symlink("/etc/l", "/etc/x.conf"),)))
    ground.write("/etc/foreign.conf", b"mine")
    ground.systemd.ends_badly.add("x.service")
    ground.apply(MachineState("m", files=(KEY,)))
    assert [ground.exists(path) for path in (CONF.path, "/etc/l", KEY.path, "/etc/foreign.conf")] == [
        False,
        False,
        True,
        True,
    ]
    assert "x.service" not in {*ground.systemd.active, *ground.systemd.failed}
    assert ground.look(MachineState("m", files=(KEY,))) == [Ended(0)]


def test_a_link_at_a_files_place_is_replaced_and_not_followed(ground: Ground) -> None:
    ground.write("/etc/target", b"foreign")
    (ground.root / "etc/x.conf").symlink_to("target")
    ground.apply(MachineState("m", files=(CONF,)))
    assert ground.read("/etc/target") == b"foreign"
    assert not (ground.root / "etc/x.conf").is_symlink()


def test_folders_links_and_kernel_settings(ground: Ground) -> None:
    ground.write("/proc/sys/net/ipv4/ip_forward", b"0\n")
    ground.write("/proc/sys/net/ipv4/conf/eth0.1/x", b"1\t2\n")
    state = MachineState(
        "m",
        directories=(Directory("/srv/a/b", 0o750),),
        data_folders=(DataFolder("/var/lib/data", 0o700),),
        links=(Symlink("/etc/l", "there"),),
        sysctls=(Sysctl("net.ipv4.conf.eth0/1.x", "1 2"), Sysctl("net.ipv4.ip_forward", "1")),
    )
    ground.apply(state)
    assert not ground.problems()
    assert ground.read("/proc/sys/net/ipv4/ip_forward") == b"1"
    assert (ground.root / "srv/a/b").stat().st_mode & 0o7777 == 0o750
    assert (ground.root / "srv/a").stat().st_mode & 0o7777 == 0o755
    assert os.readlink(ground.root / "etc/l") == "there"
    assert ground.look(state) == [Ended(0)]


def test_a_folder_may_lie_behind_a_link(ground: Ground) -> None:
    (ground.root / "data").mkdir(mode=0o755)
    (ground.root / "srv").symlink_to("data")
    state = MachineState("m", data_folders=(DataFolder("/srv", 0o700),))
    ground.apply(state)
    assert (ground.root / "data").stat().st_mode & 0o7777 == 0o700
    assert (ground.root / "srv").is_symlink()
    assert ground.look(state) == [Ended(0)]


def test_an_owner_nobody_bears_is_a_clear_problem(ground: Ground) -> None:
    ground.apply(MachineState("m", files=(replace(CONF, owner="nobody-yet"),)))
    assert ground.problems()[CONF.path].problem == "there is no user nobody-yet"
    assert not ground.exists(CONF.path)


def test_packages_are_installed_in_one_call_and_start_nothing_themselves(ground: Ground) -> None:
    ground.systemd.answers["dpkg-query"] = Ran(1, "curl ii \nold rc \n")
    ground.systemd.answers["apt-get"] = Ran(100, "", "E: Could not get lock /var/lib/dpkg/lock-frontend.")
    ground.write("/var/lib/dpkg/lock-frontend", b"")
    inode = (ground.root / "var/lib/dpkg/lock-frontend").stat().st_ino
    ground.write("/proc/locks", f"1: POSIX  ADVISORY  WRITE 77 fe:00:{inode} 0 EOF\n".encode())
    ground.write("/proc/77/comm", b"unattended-upgr\n")
    ground.apply(MachineState("m", packages=(Package("curl"), Package("old"), Package("socat"))))
    (call,) = ground.systemd.did("apt-get")
    assert call[call.index("--") + 1 :] == ("old", "socat")
    assert "unattended-upgr (process 77) has held apt's lock" in ground.problems()["socat"].problem
    assert not ground.exists("/usr/sbin/policy-rc.d")


def test_users_are_made_and_altered(ground: Ground) -> None:
    ground.write("/etc/passwd", ground.read("/etc/passwd") + b"old:x:7:7::/home/old:/bin/sh\n")
    ground.systemd.answers |= {"useradd": Ran(0), "usermod": Ran(0)}
    ground.apply(MachineState("m", users=(User("new", groups=("adm",)), User("old"))))
    (made,) = ground.systemd.did("useradd")
    assert made[-3:] == ("--groups", "adm", "new")
    assert ground.systemd.did("usermod")


def test_a_users_number_is_given_and_never_changed(ground: Ground) -> None:
    ground.write("/etc/passwd", ground.read("/etc/passwd") + b"old:x:7:7::/nonexistent:/usr/sbin/nologin\n")
    ground.systemd.answers |= {"useradd": Ran(0), "usermod": Ran(0)}
    ground.apply(MachineState("m", users=(User("new", uid=379), User("old", uid=380))))
    (made,) = ground.systemd.did("useradd")
    assert made[made.index("--uid") + 1] == "379"
    assert not ground.systemd.did("usermod")
    assert "with the number 7, and 380 is needed" in ground.problems()["old"].problem


@pytest.mark.parametrize("path", [MANIFEST, "/var/lib/groundplane/pending.json"])
def test_what_a_newer_version_or_a_broken_disk_left_is_refused(ground: Ground, path: str) -> None:
    ground.apply(STATE)
    for content, words in ((b'{"version": 99}', "of version 99"), (b"{", "damaged"), (b'{"version": 1}', "damaged")):
        ground.write(path, content)
        with pytest.raises(AgentError, match=words):
            ground.apply(STATE)


def test_two_cannot_change_a_machine_at_once_but_two_may_look(ground: Ground) -> None:
    with lock.held(ground.machine, alone=False):
        assert ground.look(STATE)
        with pytest.raises(AgentError, match="somebody else's groundplane"):
            ground.apply(STATE)
    with lock.held(ground.machine, alone=True), pytest.raises(AgentError, match=f"process {os.getpid()} there"):
        ground.look(STATE)


TRIE = """Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.80.0.{}
        /32 host LOCAL
     |-- 10.80.0.255
        /32 link BROADCAST
"""


ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
lan0\t00000000\t{}\t0003\t0\t0\t1024\t00000000\t0\t0\t0
lan0\t{}\t00000000\t0001\t0\t0\t1024\t00FFFFFF\t0\t0\t0
"""


def test_default_routes_are_read_as_the_kernel_writes_them(ground: Ground) -> None:
    words = [f"{int.from_bytes(ip_address(text).packed, sys.byteorder):08X}" for text in ("10.80.0.1", "10.80.0.0")]
    ground.write("/proc/net/route", ROUTES.format(*words).encode())
    assert kernel.routers(ground.machine) == {("lan0", "10.80.0.1")}


def test_an_effect_that_is_gone_is_brought_back_or_the_change_fails(ground: Ground) -> None:
    state = MachineState("m", files=(CONF,), units=(replace(UNIT, reloads=True, effect=("ask", "for it")),))
    ground.systemd.answers["ask"] = Ran(0)
    ground.apply(state)
    assert not ground.look(state)[:-1]
    ground.systemd.answers["ask"] = Ran(1, "the table is gone\n")
    (change, _) = ground.look(state)
    assert isinstance(change, Change)
    assert (change.key, change.why) == ("x.service", "the table is gone")
    ground.apply(state)
    assert "the table is gone" in ground.problems()["x.service"].problem
    ground.systemd.answers["ask"] = Ran(NOT_FOUND)
    assert not ground.look(state)[:-1], "nobody knows"


def test_a_failure_of_what_somebody_else_starts_is_cleared_once_the_files_are_right(ground: Ground) -> None:
    """HAProxy's resource agent lost its run bit, and HAProxy was killed: Pacemaker starts it again by itself."""
    agent = File("/usr/lib/ocf/resource.d/haproxy", b"#!/bin/sh\n", mode=0o755)
    state = MachineState("m", files=(agent,), units=(Unit("x.service", enabled=False, active=None),))
    ground.apply(state)
    os.chmod(ground.root / agent.path.lstrip("/"), 0o644)
    ground.systemd.failed.add("x.service")
    whys = {change.key: change.why for change in ground.look(state) if isinstance(change, Change)}
    assert whys == {agent.path: "mode 0644, not 0755", "x.service": "is failed"}
    ground.apply(state)
    assert ground.systemd.did("systemctl", "reset-failed") == [("systemctl", "reset-failed", "x.service")]
    assert not ground.problems()
    assert not ground.look(state)[:-1]


def test_a_card_whose_address_is_gone_is_set_up_anew(ground: Ground) -> None:
    state = MachineState("m", addresses=(Address("lan0", "10.80.0.21"),))
    ground.write("/proc/net/fib_trie", TRIE.format("99").encode())
    ground.systemd.answers["networkctl"] = Ran(1, "", "no such card")
    ground.apply(state)
    assert "networkctl reconfigure lan0 ended with status 1" in ground.problems()["lan0"].problem
    ground.write("/proc/net/fib_trie", TRIE.format("21").encode())
    assert not [event for event in ground.look(state) if isinstance(event, Change) and event.key == "lan0"]


def test_an_address_that_comes_with_a_file_is_waited_for_when_the_file_is_there(ground: Ground) -> None:
    path = "/etc/systemd/network/05-x.network"
    state = MachineState(
        "m",
        files=(File(path, b"[Match]\n"),),
        units=(Unit("x.service", reads=(path,), reloads=True),),
        addresses=(Address("wan0", "10.80.0.21"),),
    )
    ground.write("/proc/net/fib_trie", TRIE.format("99").encode())
    ground.systemd.answers["networkctl"] = Ran(1, "", "no such card")
    ground.apply(state)
    assert list(ground.problems()) == ["wan0"]
    assert ground.read(path) == b"[Match]\n"
    assert ground.systemd.calls[-1] == ("networkctl", "reconfigure", "wan0")
    assert ("systemctl", "restart", "x.service") in ground.systemd.calls


OLD, NEW = b"what came with the machine\n", b"what it should hold, which is longer\n"
TOOL = "/opt/tool"
TOOL_UNIT = Unit("x.service", reads=(TOOL,))


def tool(content: bytes = NEW, unit: Unit = TOOL_UNIT) -> MachineState:
    digest = f"sha256:{sha256(content).hexdigest()}"
    return MachineState("m", units=(unit,), artifacts=(Artifact("tool", TOOL, digest, len(content)),))


def with_tool(ground: Ground, content: bytes) -> None:
    ground.write(TOOL, content)
    (ground.root / TOOL[1:]).chmod(0o755)


def deliver(ground: Ground) -> None:
    """Put what the agent asked for where it asked for it."""
    for event in ground.said:
        if isinstance(event, Wanted):
            ground.write(event.place, NEW)


def differs(ground: Ground) -> dict[str, str]:
    return {event.key: event.why for event in ground.said if isinstance(event, Change)}


@pytest.mark.parametrize("there", [OLD, NEW[::-1], None], ids=["another size", "the same size", "absent"])
def test_a_program_that_differs_is_asked_for_and_taken_up_once_it_was_delivered(
    ground: Ground, there: bytes | None
) -> None:
    with_tool(ground, NEW)
    ground.apply(tool())
    if there is None:
        (ground.root / TOOL[1:]).unlink()
    else:
        with_tool(ground, there)
    ground.look(tool())
    assert not any(isinstance(event, Wanted | Refused) for event in ground.said), "who looks is asked for nothing"
    ground.apply(tool())
    assert set(differs(ground)) == {TOOL, "x.service"}
    assert [event.path for event in ground.said if isinstance(event, Wanted)] == [TOOL]
    assert not ground.systemd.did("systemctl", "restart")
    deliver(ground)
    ground.apply(tool())
    assert not ground.problems()
    assert ground.read(TOOL) == NEW
    assert (ground.root / TOOL[1:]).stat().st_mode & 0o777 == 0o755
    assert ground.systemd.did("systemctl", "restart") == [("systemctl", "restart", "x.service")]
    ground.apply(tool())
    assert differs(ground) == {}
    assert not list((ground.root / "var/lib/groundplane/incoming").iterdir())


def test_a_program_with_which_its_unit_does_not_run_is_put_back(ground: Ground) -> None:
    with_tool(ground, OLD)
    ground.apply(tool(OLD))
    ground.apply(tool())
    deliver(ground)
    ground.systemd.runs = lambda _: ground.read(TOOL) == OLD
    ground.apply(tool())
    assert ground.read(TOOL) == OLD
    assert "it runs again with /opt/tool as before" in ground.problems()["x.service"].hint


def test_what_was_delivered_damaged_is_not_put_in_place(ground: Ground) -> None:
    with_tool(ground, OLD)
    ground.apply(tool())
    for event in ground.said:
        if isinstance(event, Wanted):
            ground.write(event.place, NEW[::-1])
    ground.apply(tool())
    assert "is not what it should be" in ground.problems()[TOOL].problem
    assert ground.read(TOOL) == OLD


def test_where_nobody_knows_what_a_program_holds_any_will_do(ground: Ground) -> None:
    with_tool(ground, OLD)
    state = replace(tool(), artifacts=(Artifact("tool", TOOL),))
    ground.apply(state)
    (ground.root / TOOL[1:]).chmod(0o644)
    ground.look(state)
    assert "not executable" in differs(ground)[TOOL]


def test_only_what_changed_is_read_again(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of the file stand for its content, but not while it is so fresh that they may stay the same."""
    read: list[str] = []
    reading = contents._read

    def noted(place: str) -> tuple[contents.Mark, str]:
        read.append(place)
        return reading(place)

    monkeypatch.setattr(contents, "_read", noted)
    with_tool(ground, NEW)
    place, digest = str(ground.root / TOOL[1:]), tool().artifacts[0].digest

    def looked(after: float) -> str:
        machine = replace(ground.machine, now=lambda: os.stat(place).st_ctime + after)
        return contents.digests(machine, [TOOL, "/opt/none", "/opt"])[TOOL]

    assert [looked(0.5), looked(0.5), looked(10), looked(10)] == [digest] * 4
    assert len(read) == 3, "fresh twice, then remembered"
    ground.write(contents.MEMORY, b"damaged")
    assert looked(10) == digest
    with_tool(ground, OLD)
    assert looked(10) != digest
    assert len(read) == 5
