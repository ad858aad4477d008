from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundplane.machines.lab.nspawn import Bind, Container, command, launch

CONTAINER = Container(
    name="gp-demo.cp1",
    hostname="cp1",
    uuid="0" * 32,
    folder=Path("/state/lab/machines/cp1"),
    namespace=Path("/run/netns/gp-demo.cp1"),
    binds=(Bind(Path("/state/a:b"), "/var/lib/etcd"), Bind(Path("/reg"), "/srv/registry", read_only=True)),
    cgroup_version=2,
)


def test_the_container_is_confined() -> None:
    words = command(CONTAINER)
    assert "--drop-capability=CAP_SYS_MODULE,CAP_SYS_TIME" in words
    assert "--network-namespace-path=/run/netns/gp-demo.cp1" in words
    assert "--link-journal=no" in words
    assert "--ignore-environment" in words


def test_folders_of_the_host_are_bound_with_their_colons_escaped() -> None:
    words = command(CONTAINER)
    assert "--bind=/state/a\\:b:/var/lib/etcd" in words
    assert "--bind-ro=/reg:/srv/registry" in words


def test_each_version_of_control_groups_has_its_words() -> None:
    assert "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1" in command(CONTAINER)
    assert not any("LEGACY_FORCE" in word for word in command(CONTAINER))
    old = command(replace(CONTAINER, cgroup_version=1))
    assert "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0" in old
    assert old[-1] == "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"


def test_the_overlay_is_mounted_in_a_namespace_of_its_own() -> None:
    argv = launch(CONTAINER, outer=[Path("/cg/a/cgroup.procs"), Path("/cg/b/cgroup.procs")], inner=[])
    outer, supervise = argv[2], argv[8]
    assert argv[4:6] == ("/cg/a/cgroup.procs /cg/b/cgroup.procs", "/run/netns/gp-demo.cp1")
    assert "unshare --mount --propagation slave --pid" in outer
    assert "mount -t overlay" in supervise
    assert "mount -t overlay" not in outer
    assert "lowerdir=layer:software:base" in supervise
    assert argv[-len(command(CONTAINER)) :] == command(CONTAINER)


def test_a_group_is_emptied_before_it_is_made_anew() -> None:
    supervise = launch(CONTAINER, outer=[], inner=[Path("/cg/inner/cgroup.procs")])[8]
    steps = [supervise.index(step) for step in ("cgroup.kill", "-exec rmdir", 'mkdir "$group" || exit 1', 'exec "$@"')]
    assert steps == sorted(steps)
