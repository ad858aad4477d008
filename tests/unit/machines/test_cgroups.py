from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from tests.golden.laid_out import cases

from groundplane.errors import HostError
from groundplane.machines.base import Size
from groundplane.machines.lab.cgroups import detect
from groundplane.machines.lab.hierarchy import Limits, Usage, read_keyed, read_numbers
from groundplane.machines.lab.provider import _limits

MakeHost = Callable[..., Path]
GROUP = "demo/cp1"
LIMITS = Limits(cpus=1.5, memory=3 << 30)


def written(root: Path, *names: str) -> list[str]:
    return [(root / "sys/fs/cgroup" / name).read_text() for name in names]


def test_version_1_limits_lie_in_each_controllers_hierarchy(make_host: MakeHost) -> None:
    root = make_host(1)
    groups = detect(root)
    groups.create(GROUP, LIMITS)
    assert groups.version == 1
    assert written(
        root,
        "memory/groundplane/demo/cp1/memory.limit_in_bytes",
        "cpu,cpuacct/groundplane/demo/cp1/cpu.cfs_period_us",
        "cpu,cpuacct/groundplane/demo/cp1/cpu.cfs_quota_us",
        "cpuset/groundplane/cpuset.cpus",
        "cpuset/groundplane/demo/cp1/cpuset.cpus",
        "cpuset/groundplane/demo/cp1/cpuset.mems",
    ) == [str(3 << 30), "100000", "150000", "0-1\n", "0-1\n", "0\n"]


def test_version_1_joins_each_hierarchy_once(make_host: MakeHost) -> None:
    root = make_host(1, hybrid=True)
    base = root / "sys/fs/cgroup"
    assert detect(root).outer(GROUP) == tuple(
        base / name / "groundplane/demo/cp1/cgroup.procs"
        for name in ("cpu,cpuacct", "cpuset", "memory", "pids", "systemd", "unified")
    )
    assert detect(root).inner(GROUP) == ()


def test_version_1_enters_where_the_leader_is(make_host: MakeHost) -> None:
    root = make_host(1)
    (root / "proc/77").mkdir()
    (root / "proc/77/cgroup").write_text(
        "9:name=systemd:/groundplane/demo/cp1/payload/init.scope\n4:memory:/groundplane/demo/cp1\n"
        "2:cpu,cpuacct:/groundplane/demo/cp1\n0::/\n"
    )
    base = root / "sys/fs/cgroup"
    assert detect(root).entrances(77) == (
        base / "cpu,cpuacct/groundplane/demo/cp1/cgroup.procs",
        base / "memory/groundplane/demo/cp1/cgroup.procs",
        base / "systemd/groundplane/demo/cp1/payload/init.scope/cgroup.procs",
    )


def test_version_1_finds_processes_in_groups_of_groups(make_host: MakeHost) -> None:
    root = make_host(1)
    groups = detect(root)
    groups.create(GROUP, LIMITS)
    base = root / "sys/fs/cgroup"
    (base / "systemd/groundplane/demo/cp1/supervisor").mkdir()
    (base / "systemd/groundplane/demo/cp1/supervisor/cgroup.procs").write_text("11\n")
    (base / "memory/groundplane/demo/cp1/kubepods/pod").mkdir(parents=True)
    (base / "memory/groundplane/demo/cp1/kubepods/pod/cgroup.procs").write_text("13\n12\n")
    assert groups.processes(GROUP) == (11, 12, 13)
    assert groups.managers(GROUP) == (11,)
    assert groups.groups("demo") == ("cp1",)


def test_version_1_usage_leaves_out_reclaimable_cache(make_host: MakeHost) -> None:
    root = make_host(1)
    groups = detect(root)
    groups.create(GROUP, LIMITS)
    base = root / "sys/fs/cgroup"
    (base / "memory/groundplane/demo/cp1/memory.usage_in_bytes").write_text("1000\n")
    (base / "memory/groundplane/demo/cp1/memory.stat").write_text("cache 500\ntotal_inactive_file 400\n")
    (base / "cpu,cpuacct/groundplane/demo/cp1/cpuacct.usage").write_text("2500000000\n")
    assert groups.usage(GROUP) == Usage(600, 2.5)


def test_version_1_needs_systemds_hierarchy(make_host: MakeHost) -> None:
    root = make_host(1)
    table = root / "proc/self/mountinfo"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if "name=systemd" not in line))
    with pytest.raises(HostError, match="name=systemd"):
        detect(root)


def test_version_2_hands_controllers_down_and_limits_the_machine(make_host: MakeHost) -> None:
    root = make_host(2)
    base = root / "sys/fs/cgroup"
    for folder in ("groundplane", "groundplane/demo", "groundplane/demo/cp1"):
        (base / folder).mkdir()
        (base / folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (base / folder / "cgroup.subtree_control").write_text("")
    (base / "groundplane/demo/cp1/cpu.max").touch()
    groups = detect(root)
    groups.create(GROUP, LIMITS)
    assert groups.version == 2
    assert written(
        root, "groundplane/demo/cp1/memory.max", "groundplane/demo/cp1/cpu.max", "cgroup.subtree_control"
    ) == [str(3 << 30), "150000 100000", "+io"]
    assert written(root, "groundplane/demo/cp1/cgroup.subtree_control") == ["+pids"]
    assert (base / "groundplane/demo/cp1/outer").is_dir()


def test_version_2_keeps_processes_out_of_the_inner_group(make_host: MakeHost) -> None:
    root = make_host(2)
    base = root / "sys/fs/cgroup/groundplane/demo/cp1"
    groups = detect(root)
    assert groups.outer(GROUP) == (base / "outer/cgroup.procs",)
    assert groups.inner(GROUP) == (base / "inner/cgroup.procs",)


def test_version_2_finds_the_manager_and_enters_where_the_leader_is(make_host: MakeHost) -> None:
    root = make_host(2)
    base = root / "sys/fs/cgroup/groundplane/demo/cp1"
    (base / "inner/supervisor").mkdir(parents=True)
    (base / "inner/supervisor/cgroup.procs").write_text("21\n")
    (base / "inner/payload/init.scope").mkdir(parents=True)
    (base / "inner/payload/init.scope/cgroup.procs").write_text("22\n")
    (root / "proc/22").mkdir()
    (root / "proc/22/cgroup").write_text("0::/groundplane/demo/cp1/inner/payload/init.scope\n")
    groups = detect(root)
    assert groups.managers(GROUP) == (21,)
    assert groups.processes(GROUP) == (21, 22)
    assert groups.entrances(22) == (base / "inner/payload/entered/cgroup.procs",)
    assert (base / "inner/payload/entered").is_dir()


def test_version_2_enters_a_systemd_that_has_not_settled_where_it_is(make_host: MakeHost) -> None:
    root = make_host(2)
    payload = root / "sys/fs/cgroup/groundplane/demo/cp1/inner/payload"
    payload.mkdir(parents=True)
    (root / "proc/22").mkdir()
    (root / "proc/22/cgroup").write_text("0::/groundplane/demo/cp1/inner/payload\n")
    assert detect(root).entrances(22) == (payload / "cgroup.procs",)
    assert not list(payload.iterdir())


def test_version_2_does_not_bring_a_machine_s_groups_back(make_host: MakeHost) -> None:
    root = make_host(2)
    (root / "proc/22").mkdir()
    (root / "proc/22/cgroup").write_text("0::/groundplane/demo/cp1/inner/payload/init.scope\n")
    with pytest.raises(FileNotFoundError):  # it ended while it was looked for
        detect(root).entrances(22)
    assert not (root / "sys/fs/cgroup/groundplane").exists()


@pytest.mark.parametrize(("held", "refused"), [(1 << 20, False), ((3 << 30) + (1 << 20), True)])
def test_version_2_refuses_a_limit_below_the_memory_in_use(make_host: MakeHost, held: int, refused: bool) -> None:
    root = make_host(2)
    base = root / "sys/fs/cgroup"
    for folder in ("groundplane", "groundplane/demo", "groundplane/demo/cp1"):
        (base / folder).mkdir()
        (base / folder / "cgroup.controllers").write_text("memory\n")
        (base / folder / "cgroup.subtree_control").write_text("memory\n")
    machine = base / "groundplane/demo/cp1"
    (machine / "memory.max").write_text("max")
    cache = {"active_file": 2 << 30, "inactive_file": 1 << 30, "slab_reclaimable": 5}
    (machine / "memory.current").write_text(f"{held + sum(cache.values())}\n")
    (machine / "memory.stat").write_text("".join(f"{key} {value}\n" for key, value in cache.items()))
    groups = detect(root)
    if refused:
        with pytest.raises(OSError, match="3073 MiB of memory are in use, 3072 are to be the limit") as caught:
            groups.create(GROUP, LIMITS)
        assert caught.value.errno == errno.EBUSY
        assert (machine / "memory.max").read_text() == "max"
    else:
        groups.create(GROUP, LIMITS)
        assert (machine / "memory.max").read_text() == str(3 << 30)


def test_version_2_usage(make_host: MakeHost) -> None:
    root = make_host(2)
    base = root / "sys/fs/cgroup/groundplane/demo/cp1"
    base.mkdir(parents=True)
    (base / "memory.current").write_text("1000\n")
    (base / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    (base / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    assert detect(root).usage(GROUP) == Usage(700, 1.5)


def test_version_2_kills_with_one_word(make_host: MakeHost) -> None:
    root = make_host(2)
    switch = root / "sys/fs/cgroup/groundplane/demo/cp1/cgroup.kill"
    switch.parent.mkdir(parents=True)
    switch.write_text("")
    detect(root).kill(GROUP)
    assert switch.read_text() == "1"


def test_version_1_tells_what_the_limits_are(make_host: MakeHost) -> None:
    root = make_host(1)
    groups = detect(root)
    groups.create(GROUP, LIMITS)
    assert groups.size(GROUP) == Size(1.5, 3 << 30)
    base = root / "sys/fs/cgroup"
    # As the kernel says where there is none; another tool may count by another period.
    (base / "memory/groundplane/demo/cp1/memory.limit_in_bytes").write_text("9223372036854771712\n")
    (base / "cpu,cpuacct/groundplane/demo/cp1/cpu.cfs_quota_us").write_text("-1\n")
    assert groups.size(GROUP) == Size(inf, inf)
    (base / "cpu,cpuacct/groundplane/demo/cp1/cpu.cfs_quota_us").write_text("25000\n")
    (base / "cpu,cpuacct/groundplane/demo/cp1/cpu.cfs_period_us").write_text("50000\n")
    assert groups.size(GROUP).cpus == 0.5


def test_version_2_tells_what_the_limits_are(make_host: MakeHost) -> None:
    root = make_host(2)
    base = root / "sys/fs/cgroup/groundplane/demo/cp1"
    base.mkdir(parents=True)
    (base / "memory.max").write_text("3221225472\n")
    assert detect(root).size(GROUP) == Size(None, 3 << 30), "a host that gives the groups no such controller"
    (base / "cpu.max").write_text("50000 100000\n")
    assert detect(root).size(GROUP) == Size(0.5, 3 << 30)
    (base / "memory.max").write_text("max\n")
    (base / "cpu.max").write_text("max 100000\n")
    assert detect(root).size(GROUP) == Size(inf, inf)


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_gone_uses_nothing_and_can_be_removed_again(make_host: MakeHost, version: int) -> None:
    groups = detect(make_host(version))
    assert groups.usage(GROUP) == Usage()
    assert groups.size(GROUP) == Size()
    assert groups.processes(GROUP) == ()
    assert groups.groups("demo") == ()
    assert groups.remove(GROUP)
    groups.kill(GROUP)
    groups.remove_ours()


def test_a_host_without_any_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("22 27 0:21 / /proc rw,relatime - proc proc rw\n")
    with pytest.raises(HostError, match="no control groups"):
        detect(tmp_path)


def test_version_1_puts_prompt_machines_first_and_lends_them_real_time(make_host: MakeHost) -> None:
    root = make_host(1)
    cpu = root / "sys/fs/cgroup/cpu,cpuacct"
    for folder in ("groundplane", "groundplane/demo", "groundplane/demo/lb1", "groundplane/demo/cp1"):
        (cpu / folder).mkdir()
        (cpu / folder / "cpu.rt_runtime_us").write_text("0")
    groups = detect(root)
    groups.create("demo/cp1", LIMITS)
    groups.create("demo/lb1", replace(LIMITS, weight=8, prompt=True))
    budgets = [(cpu / "groundplane" / name / "cpu.rt_runtime_us").read_text() for name in ("", "demo", "demo/lb1")]
    assert budgets == ["90000", "45000", "15000"]
    assert (cpu / "groundplane/demo/lb1/cpu.rt_period_us").read_text() == "100000"
    assert (cpu / "groundplane/demo/cp1/cpu.rt_runtime_us").read_text() == "0"
    assert (cpu / "groundplane/demo/lb1/cpu.shares").read_text() == "8192"
    assert (cpu / "groundplane/demo/cp1/cpu.shares").read_text() == "1024"


def test_version_2_puts_prompt_machines_first(make_host: MakeHost) -> None:
    root = make_host(2)
    for folder in ("groundplane", "groundplane/demo", "groundplane/demo/lb1"):
        (root / "sys/fs/cgroup" / folder).mkdir()
        (root / "sys/fs/cgroup" / folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (root / "sys/fs/cgroup" / folder / "cgroup.subtree_control").write_text("")
    weights = [root / "sys/fs/cgroup/groundplane" / name / "cpu.weight" for name in ("", "demo", "demo/lb1")]
    groups = detect(root)
    groups.create("demo/lb1", replace(LIMITS, weight=8, prompt=True))
    assert not any(weight.exists() for weight in weights)  # a host that gives the groups no such controller
    for weight in weights:
        weight.write_text("77")
    groups.create("demo/lb1", LIMITS)
    assert [weight.read_text() for weight in weights] == ["400", "400", "100"]  # the lab itself always counts
    groups.create("demo/lb1", replace(LIMITS, weight=8, prompt=True))
    assert weights[2].read_text() == "800"


def test_version_2_is_taken_although_a_controller_of_version_1_is_mounted(make_host: MakeHost) -> None:
    root = make_host(2)
    with (root / "proc/self/mountinfo").open("a") as table:
        table.write("70 31 0:70 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls\n")
    assert detect(root).version == 2


def test_a_mount_point_in_no_encoding_is_read_over(make_host: MakeHost) -> None:
    root = make_host(2)
    with (root / "proc/self/mountinfo").open("ab") as table:
        table.write(b"71 31 0:71 / /mnt/\xff\xfe rw - tmpfs tmpfs rw\n")
    assert detect(root).version == 2


def test_processes_of_another_process_namespace_count_for_none(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("0\n12\n")
    assert read_numbers(tmp_path / "cgroup.procs") == (12,)


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EOPNOTSUPP])
def test_a_group_that_goes_while_it_is_read_has_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def gone(*_: object, **__: object) -> str:
        raise OSError(number, "as the kernel says")

    monkeypatch.setattr(Path, "read_text", gone)
    assert read_numbers(tmp_path) == ()
    if number == errno.ENODEV:
        assert read_keyed(tmp_path) == {}


def test_version_1_freezes_by_its_freezer(make_host: MakeHost) -> None:
    root = make_host(1)
    folder = root / "sys/fs/cgroup/freezer/groundplane/demo/cp1"
    folder.mkdir(parents=True)
    table = root / "proc/self/mountinfo"
    table.write_text(f"{table.read_text()}70 31 0:70 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n")
    groups = detect(root)
    assert not groups.freeze(GROUP, still=True), "a file of the kernel's is never made"
    assert not groups.frozen(GROUP)
    (folder / "freezer.state").write_text("")
    assert groups.freeze(GROUP, still=True)
    assert (folder / "freezer.state").read_text() == "FROZEN"
    assert groups.frozen(GROUP)
    (folder / "freezer.state").write_text("FREEZING\n")
    assert not groups.frozen(GROUP)
    (folder / "freezer.state").write_text("")
    assert groups.freeze(GROUP, still=False)
    assert (folder / "freezer.state").read_text() == "THAWED"


def test_version_1_without_a_freezer_says_so(make_host: MakeHost) -> None:
    assert not detect(make_host(1)).freeze(GROUP, still=True)


def test_version_2_freezes_the_whole_group(make_host: MakeHost) -> None:
    root = make_host(2)
    folder = root / "sys/fs/cgroup/groundplane/demo/cp1"
    groups = detect(root)
    assert not groups.freeze(GROUP, still=True)
    assert not groups.frozen(GROUP)
    folder.mkdir(parents=True)
    (folder / "cgroup.freeze").write_text("0")
    (folder / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert groups.freeze(GROUP, still=True)
    assert (folder / "cgroup.freeze").read_text() == "1"
    assert not groups.frozen(GROUP), "it takes a moment"
    (folder / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert groups.frozen(GROUP)
    assert groups.freeze(GROUP, still=False)
    assert (folder / "cgroup.freeze").read_text() == "0"


def test_who_serves_comes_before_who_only_works() -> None:
    weights = {machine.name: _limits(machine).weight for machine in cases()["lab"].machines}
    assert weights["lb1"] == weights["gateway"] > weights["cp1"] > weights["worker1"] == 1
    assert _limits(cases()["three"].machines[0]).weight == weights["gateway"]
