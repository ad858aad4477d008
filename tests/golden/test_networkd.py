"""What systemd-networkd makes of the gateway's files when IPv6 and the uplink come to a standing platform, and go.

Run like the checks of syntax (``pytest -m lab tests/golden``): the image's own networkd, in namespaces of its own, on
two cards that lead nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from groundplane.design import design
from groundplane.spec import load
from groundplane.topology import Topology, lay_out
from tests.golden.chroot import Ground
from tests.golden.laid_out import EXAMPLE, cases

pytestmark = pytest.mark.lab

FOLDER: Final = "/etc/systemd/network"
GROWN: Final = """  ipv6: fd00:80::/64
  uplink: {address: 192.0.2.2/24, router: 192.0.2.1, nameservers: [192.0.2.1]}
"""
# What cloud-init makes of the seed, and the floating address as a balancer that is the gateway too would have it. Each
# argument is a folder; all that the cards have is told after each.
SCRIPT: Final = f"""
export SYSTEMD_IGNORE_CHROOT=1 container=nspawn
mkdir -p /run/dbus /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif
mount -t sysfs -o ro sysfs /sys
for card in lan wan; do ip link add ${{card}}0 type veth peer name ${{card}}1; ip link set ${{card}}1 up; done
dbus-daemon --system --fork
/usr/lib/systemd/systemd-networkd 2>/run/said &
for folder; do
  rm -rf {FOLDER}; cp -r "$folder{FOLDER}" {FOLDER}
  printf '[Match]\nName=lan0\n[Network]\nLinkLocalAddressing=no\nAddress=10.80.0.1/24\n' \
    >{FOLDER}/10-cloud-init-lan0.network
  until networkctl reload 2>/dev/null; do sleep 0.2; done
  sleep 3
  ip -json address; ip -json route
  ip address replace 10.80.0.10/24 dev lan0
done
kill $!
"""


def grown() -> Topology:
    text = EXAMPLE.read_text().replace("  # uplink:", f"{GROWN}  # uplink:").encode()
    small = cases()["lab"]
    return lay_out(load(text, name="grown", versions=("1.37.2",)), small.secrets, small.traits)


def lay(folder: Path, topology: Topology) -> None:
    """The files of the gateway's cards."""
    (state,) = [state for state in design(topology).states if state.machine == "gateway"]
    for file in state.files:
        if file.path.startswith(FOLDER):
            path = folder / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)


def addresses(told: list[dict[str, Any]], card: str) -> set[str]:
    (found,) = [entry for entry in told if entry["ifname"] == card]
    return {f"{one['local']}/{one['prefixlen']}" for one in found["addr_info"] if one["scope"] == "global"}


def test_they_come_and_go_while_the_addresses_stay(ground: Ground, tmp_path: Path) -> None:
    tree, work = tmp_path / "tree", tmp_path / "work"
    work.mkdir()
    lay(tree / "small", cases()["lab"])
    lay(tree / "grown", grown())
    done = ground.run("gateway", tree, work, ["sh", "-c", SCRIPT, "sh", "/small", "/grown", "/small"])
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 6, done.stdout + done.stderr
    before, bare, there, ways, after, again = told
    own = {"10.80.0.1/24"}
    assert (addresses(before, "lan0"), addresses(before, "wan0")) == (own, set())
    assert addresses(there, "lan0") == {*own, "10.80.0.10/24", "fd00:80::1/64"}
    assert addresses(there, "wan0") == {"192.0.2.2/24"}
    assert [(one["dev"], one["gateway"]) for one in ways if one["dst"] == "default"] == [("wan0", "192.0.2.1")]
    assert (addresses(after, "lan0") - {"fd00:80::1/64"}, addresses(after, "wan0")) == ({*own, "10.80.0.10/24"}, set())
    assert not [one for one in (*bare, *again) if one["dst"] == "default"]
    assert {entry["ifname"]: "UP" in entry["flags"] for entry in after}["wan0"] is False
