"""A machine's seed: what cloud-init is told, in which order, and what it isn't told."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.golden.laid_out import cases

from groundplane.cloudinit import HIDDEN, render_seed, render_tree
from groundplane.cloudinit.user_data import FIRST_BOOT_DONE
from groundplane.image.inputs import TREE
from groundplane.state import DataFolder, Directory, File, MachineState, Symlink, Sysctl, Unit, User, Volume
from groundplane.state.derived import MANIFEST, manifest_content, manifest_of
from groundplane.topology import Topology

CASES = cases()
STATE = MachineState(
    machine="cp1",
    files=(
        File("/etc/cluster/key", b"\x00\x01", mode=0o640, group="haclient", secret=True),
        File("/etc/hosts", b"127.0.0.1 localhost\n"),
    ),
    directories=(Directory("/etc/private", mode=0o700, owner="etcd", group="etcd"),),
    units=(
        Unit("kubelet.service", active=None),
        Unit("late.service", enabled=False, active=False),
        Unit("noise.service", masked=True),
        Unit("now.service"),
        Unit("pcmk.service", enabled=False, active=None),
    ),
    sysctls=(Sysctl("net.ipv4.ip_forward", "1"),),
    data_folders=(DataFolder("/var/lib/etcd", mode=0o700),),
)


def read(content: bytes) -> Any:
    return YAML(typ="safe", pure=True).load(StringIO(content.decode()))


UNIT = "etc/systemd/system/groundplane-first-boot.service"


def seed(case: str = "lab", machine: str = "cp1", state: MachineState = STATE) -> tuple[Any, Any, Any]:
    topology = CASES[case]
    made = render_seed(topology, topology.machine(machine), state)
    assert made.user_data.startswith(b"#cloud-config\n")
    return read(made.meta_data), read(made.user_data), read(made.network_config)


def test_machine_is_named_once_and_for_all() -> None:
    meta, user, _ = seed()
    assert meta["local-hostname"] == user["hostname"] == "cp1"
    assert user["fqdn"] == "cp1.groundplane.internal"
    assert user["preserve_hostname"] is False
    assert user["manage_etc_hosts"] is False
    assert user["prefer_fqdn_over_hostname"] is False


def test_nobody_gets_in_by_the_images_defaults() -> None:
    _, user, _ = seed()
    assert user["users"] == []
    assert user["disable_root"] is True
    assert user["ssh_pwauth"] is False


def test_instance_outlives_its_configuration() -> None:
    changed = replace(STATE, files=())
    assert seed()[0]["instance-id"] == seed(state=changed)[0]["instance-id"]
    assert seed()[0]["instance-id"] != seed(machine="cp2")[0]["instance-id"]


def test_files_carry_owner_and_mode_and_wait_for_their_owner() -> None:
    _, user, _ = seed()
    files = {entry["path"]: entry for entry in user["write_files"]}
    key, hosts = files["/etc/cluster/key"], files["/etc/hosts"]
    assert (key["owner"], key["permissions"], key["defer"]) == ("root:haclient", "0640", True)
    assert (key["encoding"], key["content"].strip()) == ("b64", "AAE=")
    assert (hosts["owner"], hosts["permissions"], hosts["content"]) == ("root:root", "0644", "127.0.0.1 localhost\n")
    assert "defer" not in hosts
    assert files["/etc/sysctl.d/60-groundplane.conf"]["content"] == "net.ipv4.ip_forward = 1\n"


def test_commands_stop_at_the_first_failure_and_come_in_order() -> None:
    _, user, _ = seed()
    assert user["runcmd"] == [
        "set -eu",
        "install -d -m 0700 -o etcd -g etcd /etc/private",
        "install -d -m 0700 /var/lib/etcd",
        "sysctl --quiet --load=/etc/sysctl.d/60-groundplane.conf",
        "systemctl daemon-reload",
        "systemctl mask --now noise.service",
        "systemctl disable late.service pcmk.service",
        "systemctl stop --no-block late.service",
        "systemctl enable kubelet.service now.service",
        f"install -D -m 0644 /dev/null {FIRST_BOOT_DONE}",
        "systemctl start --no-block groundplane-first-boot.target",
    ]


def test_units_start_as_one_transaction_of_this_boot_alone() -> None:
    _, user, _ = seed()
    (target,) = [entry for entry in user["write_files"] if entry["path"].startswith("/run/")]
    wanted = [line for line in target["content"].splitlines() if line.startswith("Wants=")]
    assert wanted == ["Wants=now.service"]


def test_a_state_without_anything_makes_a_seed_that_only_says_so() -> None:
    _, user, _ = seed(state=MachineState("cp1"))
    assert [file["path"] for file in user["write_files"]] == [MANIFEST]
    assert user["runcmd"] == ["set -eu", "systemctl daemon-reload", f"install -D -m 0644 /dev/null {FIRST_BOOT_DONE}"]


def test_a_first_boot_that_was_cut_off_begins_again() -> None:
    """Everything is in place before the mark, and nothing runs before it."""
    _, user, _ = seed()
    assert f"ConditionPathExists=!{FIRST_BOOT_DONE}\n" in (TREE / UNIT).read_text()
    mark = next(place for place, command in enumerate(user["runcmd"]) if FIRST_BOOT_DONE in command)
    assert all("systemctl start" not in command for command in user["runcmd"][:mark])
    assert all("systemctl start" in command for command in user["runcmd"][mark + 1 :])


def test_gateway_states_its_address_and_leaves_the_outer_card_alone() -> None:
    _, _, network = seed(machine="gateway")
    assert network["ethernets"].keys() == {"lan0"}
    lan = network["ethernets"]["lan0"]
    assert (lan["dhcp4"], lan["addresses"], lan["set-name"]) == (False, ["10.80.0.1/24"], "lan0")


def test_a_seed_says_nothing_that_may_change_while_the_machine_stands() -> None:
    """IPv6 and the uplink: a standing platform may get them, and nobody reads a seed twice."""
    _, _, network = seed("variant", "gate")
    assert network["ethernets"].keys() == {"lan0"}
    assert network["ethernets"]["lan0"]["addresses"] == ["192.168.40.1/23"]


@pytest.mark.parametrize(("case", "machine"), [("lab", "cp1"), ("variant", "king")])
def test_others_ask_by_their_own_card(case: str, machine: str) -> None:
    _, _, network = seed(case, machine)
    lan = network["ethernets"]["lan0"]
    assert lan["match"] == {"macaddress": CASES[case].machine(machine).mac}
    assert lan["dhcp4"] is True
    assert lan["accept-ra"] is False
    assert "addresses" not in lan


def tree(topology: Topology, *, show_secrets: bool) -> dict[str, bytes]:
    states = {machine.name: MachineState(machine.name) for machine in topology.machines} | {"cp1": STATE}
    return render_tree(topology, states, show_secrets=show_secrets)


def test_tree_has_every_file_of_every_machine() -> None:
    made = tree(CASES["lab"], show_secrets=True)
    assert list(made) == sorted(made)
    assert [path for path in made if path.startswith("cp1/")] == [
        "cp1/root/etc/cluster/key",
        "cp1/root/etc/hosts",
        "cp1/root/etc/sysctl.d/60-groundplane.conf",
        "cp1/root/var/lib/groundplane/manifest.json",
        "cp1/seed/meta-data",
        "cp1/seed/network-config",
        "cp1/seed/user-data",
    ]
    assert made["cp1/root/etc/cluster/key"] == b"\x00\x01"


def test_tree_hides_secrets_in_the_seed_too() -> None:
    made = tree(CASES["lab"], show_secrets=False)
    assert made["cp1/root/etc/cluster/key"] == HIDDEN
    assert b"AAE=" not in made["cp1/seed/user-data"]
    assert HIDDEN.strip() in made["cp1/seed/user-data"]


def test_what_the_agent_calls_ours_is_accounted_for_at_first_boot() -> None:
    _, user, _ = seed()
    by_path = {file["path"]: file for file in user["write_files"]}
    assert by_path[MANIFEST]["content"].encode() == manifest_content(manifest_of(STATE))
    assert by_path[MANIFEST]["permissions"] == "0644"


def test_accounts_volumes_mounts_and_links_come_before_what_needs_them() -> None:
    state = replace(
        STATE,
        users=(User("etcd", uid=379, groups=("adm",)),),
        volumes=(Volume("vg", "data", 1 << 30, "xfs", "/srv"),),
        links=(Symlink("/etc/l", "/etc/hosts"),),
    )
    _, user, _ = seed(state=state)
    commands = user["runcmd"]
    beginnings = [
        "useradd ",
        "lvcreate ",
        "mkfs.xfs ",
        "systemctl start srv.mount",
        "install -d -m 0700 -o etcd",
        "ln ",
    ]
    assert any(line.startswith("useradd") and "--uid 379" in line for line in commands)
    places = [next(at for at, line in enumerate(commands) if line.startswith(each)) for each in beginnings]
    assert places == sorted(places)
    assert "/etc/systemd/system/srv.mount" in [file["path"] for file in user["write_files"]]
    assert any(line.startswith("systemctl enable") and "srv.mount" in line for line in commands)
