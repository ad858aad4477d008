"""What differs, and in which order it would be carried out. Pure: no machine is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from groundplane.agent.diff import diff
from groundplane.agent.observed import Form, MountSeen, Observed, PathSeen, UnitSeen, UserSeen, VolumeSeen
from groundplane.agent.pending import Pending
from groundplane.state.change import Action, Change, Kind
from groundplane.state.derived import HOST_NAME_FILE, MANIFEST, MachineManifest, manifest_content, manifest_of
from groundplane.state.model import (
    Address,
    Artifact,
    DataFolder,
    Directory,
    File,
    HostName,
    MachineState,
    Mount,
    Package,
    Symlink,
    Sysctl,
    Unit,
    User,
    Volume,
)

CONF = File("/etc/x.conf", b"a\n")
UNIT = Unit("x.service", reads=("/etc/x.conf", "/etc/x.d"))
RUNS = UnitSeen("loaded", "active", "running", "enabled")


def there(file: File) -> PathSeen:
    return PathSeen(Form.FILE, file.mode, file.owner, file.group, file.content, changed=7.0)


def seen(state: MachineState) -> Observed:
    """A machine that is as ``state`` says of files and units."""
    manifest = manifest_of(state)
    account = PathSeen(Form.FILE, 0o644, content=manifest_content(manifest))
    entries = {MANIFEST: account, **{file.path: there(file) for file in state.files}}
    return Observed(entries=entries, units={unit.name: RUNS for unit in state.units}, manifest=manifest)


def short(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.key, change.action.value) for change in changes]


def test_a_machine_as_it_should_be_needs_nothing() -> None:
    state = MachineState("m", files=(CONF,), units=(UNIT,))
    assert diff(state, seen(state)) == ()


def test_a_file_that_differs_is_shown_and_taken_up_once() -> None:
    state = MachineState("m", files=(CONF, File("/etc/x.d/y", b"n\n")), units=(UNIT,))
    now = seen(state)
    entries = {**now.entries, CONF.path: there(replace(CONF, content=b"b\n"))}
    del entries["/etc/x.d/y"]
    update, create, restart = diff(state, replace(now, entries=entries))
    assert (update.key, update.action, update.why, update.since) == (CONF.path, Action.UPDATE, "content differs", 7.0)
    assert update.diff.splitlines()[-2:] == ["-b", "+a"]
    assert (create.key, create.action) == ("/etc/x.d/y", Action.CREATE)
    assert (restart.key, restart.action) == ("x.service", Action.RESTART)
    assert restart.why == "reads /etc/x.conf and 1 more that change"


def test_a_folder_that_is_read_is_no_mere_beginning_of_a_name() -> None:
    state = MachineState("m", files=(File("/etc/x.data", b""),), units=(UNIT,))
    now = seen(state)
    assert short(diff(state, replace(now, entries={MANIFEST: now.entries[MANIFEST]}))) == [("/etc/x.data", "create")]


def test_mode_and_owner_alone_restart_nothing() -> None:
    state = MachineState("m", files=(CONF,), units=(UNIT,))
    now = seen(state)
    wrong = replace(now.entries[CONF.path], mode=0o600, owner="games")
    (change,) = diff(state, replace(now, entries={**now.entries, CONF.path: wrong}))
    assert change.why == "mode 0600, not 0644; owner games, not root"


def test_a_secret_is_never_spelled_out() -> None:
    secret = File("/etc/key", b"hunter2\n", mode=0o600, secret=True)
    state = MachineState("m", files=(secret,))
    now = seen(state)
    other = there(replace(secret, content=b"hunter1\n"))
    (update,) = diff(state, replace(now, entries={**now.entries, secret.path: other}))
    (create,) = diff(state, replace(now, entries={MANIFEST: now.entries[MANIFEST]}))
    assert (update.why, update.diff, create.diff) == ("content differs", "", "")


def test_what_is_no_text_has_no_diff() -> None:
    state = MachineState("m", files=(File("/b", b"\x00\x01"),))
    now = seen(state)
    (change,) = diff(state, replace(now, entries={MANIFEST: now.entries[MANIFEST]}))
    assert change.diff == ""


def test_an_initial_file_is_written_once_and_belongs_to_its_component() -> None:
    cib = File("/var/cib.xml", b"start", initial=True)
    state = MachineState("m", files=(cib,))
    now = seen(state)
    rewritten = {**now.entries, cib.path: there(replace(cib, content=b"its own", mode=0o640))}
    assert diff(state, replace(now, entries=rewritten)) == ()
    assert short(diff(state, replace(now, entries={MANIFEST: now.entries[MANIFEST]}))) == [(cib.path, "create")]
    gone = MachineState("m")
    assert short(diff(gone, replace(now, manifest=manifest_of(state)))) == []


def test_what_is_ours_and_no_longer_wanted_goes_and_nothing_else() -> None:
    before = MachineState("m", files=(CONF,), units=(UNIT,), links=(Symlink("/l", "/t"),))
    now = seen(before)
    entries = {**now.entries, "/l": PathSeen(Form.LINK, target="/t"), "/etc/foreign": there(CONF)}
    changes = diff(MachineState("m"), replace(now, entries=entries))
    assert short(changes) == [
        ("x.service", "stop"),
        ("x.service", "disable"),
        ("/etc/x.conf", "remove"),
        ("/l", "remove"),
    ]
    assert changes[2].diff == ""


def test_the_account_alone_is_a_change_too() -> None:
    state = MachineState("m", files=(CONF,))
    now = replace(seen(state), manifest=MachineManifest(files=("/gone",)))
    stale = PathSeen(Form.FILE, content=manifest_content(now.manifest))
    (change,) = diff(state, replace(now, entries={**now.entries, MANIFEST: stale}))
    assert (change.kind, change.key) == (Kind.FILE, MANIFEST)


def test_somebody_elses_unit_is_neither_started_nor_stopped_but_takes_up_what_it_reads() -> None:
    state = MachineState("m", files=(CONF,), units=(replace(UNIT, active=None, enabled=False, reloads=True),))
    now = seen(state)
    entries = {**now.entries, CONF.path: there(replace(CONF, content=b"old"))}
    for unit, expected in (
        (UnitSeen("loaded", "inactive", "dead", "disabled"), []),
        (UnitSeen("loaded", "active", "running", "disabled"), [("x.service", "reload")]),
    ):
        assert diff(state, replace(now, units={"x.service": unit})) == ()
        changes = diff(state, replace(now, entries=entries, units={"x.service": unit}))
        assert short(changes)[1:] == expected


@pytest.mark.parametrize(
    ("changes", "left", "expected"),
    [
        (("/live",), Pending(), "reload"),
        (("/live", "/fixed"), Pending(), "restart"),
        (("/live",), Pending(restart=("x.service",)), "restart"),
        ((), Pending(reload=("x.service",)), "reload"),
    ],
)
def test_a_unit_that_reloads_restarts_for_what_a_reload_does_not_take_up(
    changes: tuple[str, ...], left: Pending, expected: str
) -> None:
    files = (File("/fixed", b"new"), File("/live", b"new"))
    unit = replace(UNIT, reads=("/fixed", "/live"), reloads=True, restarts=("/fixed",))
    state = MachineState("m", files=files, units=(unit,))
    now = replace(seen(state), pending=left)
    older = {file.path: there(replace(file, content=b"old")) for file in files if file.path in changes}
    found = diff(state, replace(now, entries={**now.entries, **older}))
    assert short(found)[-1] == ("x.service", expected)


def test_what_a_cut_off_run_left_to_take_up_is_seen() -> None:
    state = MachineState("m", units=(UNIT,))
    now = replace(seen(state), pending=Pending(restart=("x.service", "foreign.service")))
    (change,) = diff(state, now)
    assert (change.key, change.action) == ("x.service", Action.RESTART)


def test_units_in_all_their_states() -> None:
    def changes(unit: Unit, found: UnitSeen) -> list[str]:
        state = MachineState("m", units=(unit,))
        return [change.action.value for change in diff(state, replace(seen(state), units={unit.name: found}))]

    stopped = UnitSeen("loaded", "failed", "failed", "disabled", since=5.0)
    assert changes(UNIT, stopped) == ["enable", "start"]
    assert changes(UNIT, UnitSeen("loaded", "active", "exited", "static")) == []
    assert changes(UNIT, UnitSeen("loaded", "activating", "start", "enabled")) == []
    assert changes(UNIT, UnitSeen("loaded", "activating", "auto-restart", "enabled")) == ["start"]
    assert changes(UNIT, UnitSeen("masked", "inactive", "dead", "masked")) == ["unmask", "enable", "start"]
    assert changes(replace(UNIT, enabled=False, active=False), RUNS) == ["disable", "stop"]
    assert changes(replace(UNIT, enabled=False, active=False), UnitSeen()) == []
    assert changes(replace(UNIT, masked=True), RUNS) == ["mask", "stop"]
    assert changes(replace(UNIT, masked=True), UnitSeen("masked", "inactive", "dead", "masked")) == []


@pytest.mark.parametrize(("enabled", "expected"), [(False, Action.RESET), (True, Action.START)])
def test_a_unit_that_failed_differs_whoever_starts_it(enabled: bool, expected: Action) -> None:
    failed = UnitSeen("loaded", "failed", "failed", "enabled" if enabled else "disabled", since=5.0)
    state = MachineState("m", units=(replace(UNIT, active=None, enabled=enabled),))
    (change,) = diff(state, replace(seen(state), units={UNIT.name: failed}))
    assert (change.action, change.why, change.since) == (expected, "is failed", 5.0)


def test_a_unit_that_runs_without_its_effect_takes_up_what_it_reads() -> None:
    state = MachineState("m", files=(CONF,), units=(replace(UNIT, reloads=True, effect=("ask",)),))
    now = replace(seen(state), ineffective={UNIT.name: "the table is gone"})
    (change,) = diff(state, now)
    assert (change.key, change.action, change.why) == (UNIT.name, Action.RELOAD, "the table is gone")
    rewritten = {**now.entries, CONF.path: there(replace(CONF, content=b"old"))}
    assert short(diff(state, replace(now, entries=rewritten)))[1:] == [(UNIT.name, "reload")], "once, not twice"
    stopped = replace(now, units={UNIT.name: UnitSeen("loaded", "inactive", "dead", "enabled")})
    assert short(diff(state, stopped)) == [(UNIT.name, "start")]


def test_a_renamed_machine_and_a_lost_route_differ() -> None:
    state = MachineState(
        "m",
        addresses=(Address("lan0", "10.80.0.21", "10.80.0.1"),),
        host_names=(HostName("m"),),
        units=(replace(UNIT, active=None, reads=(HOST_NAME_FILE,)),),
    )
    right = frozenset({("lan0", "10.80.0.1")})
    now = seen(state)
    named = {**now.entries, HOST_NAME_FILE: there(File(HOST_NAME_FILE, b"m\n"))}
    well = replace(now, entries=named, addresses=frozenset({"10.80.0.21"}), routers=right, host_name="m")
    assert diff(state, well) == ()
    assert [change.why for change in diff(state, replace(well, routers=frozenset({("wan0", "10.80.0.1")})))] == [
        "no default route by 10.80.0.1"
    ]
    assert short(diff(state, replace(well, host_name="other"))) == [
        (HOST_NAME_FILE, "update"),
        (UNIT.name, "restart"),
    ], "who registers under the name takes it up"


def test_a_stopped_unit_says_since_when() -> None:
    state = MachineState("m", units=(UNIT,))
    (change,) = diff(
        state, replace(seen(state), units={UNIT.name: UnitSeen("loaded", "failed", "failed", "enabled", since=5.0)})
    )
    assert (change.why, change.since) == ("is failed", 5.0)


def test_a_numbers_and_a_data_folders_owner_are_compared_where_they_matter() -> None:
    state = MachineState("m", users=(User("u", uid=379), User("v")), data_folders=(DataFolder("/f", owner="u"),))
    now = Observed(
        users={name: UserSeen(7, "/nonexistent", "/usr/sbin/nologin", ()) for name in ("u", "v")},
        entries={"/f": PathSeen(Form.FOLDER, 0o755, owner="root", group="anybody")},
    )
    changes = [(change.key, change.why) for change in diff(state, now) if change.kind is not Kind.FILE]
    assert changes == [("u", "number 7, not 379"), ("/f", "owner root, not u")]


def test_every_other_kind_of_resource() -> None:
    state = MachineState(
        "m",
        packages=(Package("curl"), Package("socat")),
        users=(User("u", groups=("adm", "disk")), User("v")),
        volumes=(Volume("vg", "a", 10), Volume("vg", "b", 10), Volume("vg", "c", 10), Volume("vg", "d", 10)),
        mounts=(Mount("/dev/x", "/mnt", "ext4"),),
        links=(Symlink("/l", "/t"),),
        directories=(Directory("/d", 0o700),),
        data_folders=(DataFolder("/f"),),
        artifacts=(Artifact("a", "/a"), Artifact("b", "/b")),
        sysctls=(Sysctl("net.core.x", "4 5"), Sysctl("net.core.y", "1")),
    )
    now = Observed(
        packages=frozenset({"curl"}),
        users={"u": UserSeen(7, "/nonexistent", "/usr/sbin/nologin", ("adm",))},
        volumes={"vg/a": VolumeSeen(5, "ext4"), "vg/b": VolumeSeen(10, ""), "vg/d": VolumeSeen(99, "ext4")},
        mounts={"/mnt": MountSeen("/dev/x", "xfs")},
        entries={
            "/l": PathSeen(Form.LINK, target="/other"),
            "/d": PathSeen(Form.FOLDER, 0o755),
            "/f": PathSeen(Form.FOLDER, 0o755, owner="anybody"),
            "/a": PathSeen(Form.FILE, 0o644),
            "/etc/sysctl.d/60-groundplane.conf": PathSeen(
                Form.FILE, 0o644, content=b"net.core.x = 4 5\nnet.core.y = 1\n"
            ),
        },
        sysctls={"net.core.x": "4 5", "net.core.y": "0"},
    )
    changes = diff(state, now)
    assert [(change.kind.value, change.key, change.action.value) for change in changes] == [
        ("package", "socat", "create"),
        ("user", "u", "update"),
        ("user", "v", "create"),
        ("volume", "vg/a", "update"),
        ("volume", "vg/b", "create"),
        ("volume", "vg/c", "create"),
        ("mount", "/mnt", "update"),
        ("link", "/l", "update"),
        ("directory", "/d", "update"),
        ("artifact", "/a", "update"),
        ("artifact", "/b", "create"),
        ("sysctl", "net.core.y", "update"),
    ]
    assert {change.key: change.why for change in changes}["u"] == "not in disk"
    assert {change.key: change.why for change in changes}["net.core.y"] == "is 0, not 1"


def test_an_address_that_is_gone_is_found() -> None:
    state = MachineState("m", addresses=(Address("lan0", "10.80.0.21"),))
    assert diff(state, replace(seen(state), addresses=frozenset({"127.0.0.1", "10.80.0.21"}))) == ()
    assert diff(state, replace(seen(state), addresses=frozenset({"10.80.0.99"}))) == (
        Change(Kind.ADDRESS, "lan0", Action.UPDATE, "10.80.0.21 is gone"),
    )
