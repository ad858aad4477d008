"""What systemd-networkd makes of a machine's files while nobody gives it a lease: it boots with its address, and keeps
that when a lease ends.

Run like the checks of syntax (``pytest -m lab tests/golden``): the image's own cloud-init, networkd and dnsmasq, in
namespaces of their own. The gateway's dnsmasq gives leases of two minutes, the shortest it knows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from groundplane.cloudinit.network import network_config
from groundplane.components.dnsmasq.fragment import LEASES
from groundplane.design import design
from tests.golden.chroot import Ground
from tests.golden.laid_out import cases

pytestmark = pytest.mark.lab

NETWORKS: Final = "/etc/systemd/network"
DNSMASQ: Final = "/etc/dnsmasq.d"
# A LAN with the gateway on it in a namespace of its own, and two cards there: the machine's, and a stranger's, which is
# told no more than to ask for a lease. What is done then follows.
LAN: Final = f"""set -e
mac=$1
export SYSTEMD_IGNORE_CHROOT=1 container=nspawn
mkdir -p /run/dbus /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif
mount -t sysfs -o ro sysfs /sys
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
unshare --net sleep infinity & gateway=$!
until [ "$(readlink /proc/$gateway/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
there() {{ nsenter --net=/proc/$gateway/ns/net "$@"; }}
there ip link add lan0 type bridge
ip link add lan0 address $mac type veth peer name machine netns $gateway
ip link add card0 type veth peer name stranger netns $gateway
for end in machine stranger; do there ip link set $end master lan0 up; done
there ip link set lan0 up
cloud-init devel net-convert -p /network-config -k yaml -D debian -m lan0,$mac -O networkd -d /converted >/dev/null 2>&1
cp /converted{NETWORKS}/* {NETWORKS}/
printf '[Match]\nName=card0\n[Network]\nDHCP=ipv4\n' >{NETWORKS}/20-stranger.network
sed -i 's/,12h$/,2m/' {DNSMASQ}/groundplane.conf
dbus-daemon --system --fork
touch /run/said /run/gave

boot() {{ /usr/lib/systemd/systemd-networkd 2>/run/said & }}
come() {{
  there ip address add 10.80.0.1/24 dev lan0
  there dnsmasq --keep-in-foreground --user=root --conf-file={DNSMASQ}/groundplane.conf >/run/gave 2>&1 & served=$!
}}
go() {{ kill $served; wait $served || true; there ip address flush dev lan0; }}
await() {{  # at most so many seconds, for a command that succeeds
  for _ in $(seq $(($1 * 5))); do if sh -c "$2" >/dev/null; then return; fi; sleep 0.2; done
  echo "not within $1 s: $2" >&2; cat /run/said /run/gave >&2; exit 1
}}
show() {{ ip -json address; ip -json route; }}
"""
LEASED: Final = "ip route show default dev {} | grep 'metric 1024'"
ADDRESS: Final = "ip -4 -brief address show {} | grep 10.80.0."


@dataclass(frozen=True, slots=True)
class Seen:
    """The global IPv4 addresses of each card, and the metrics of the machine's ways out by the gateway."""

    addresses: dict[str, list[str]]
    ways: list[int]


def seen(ground: Ground, folder: Path, acts: str, *, timeout: float = 60) -> list[Seen]:
    """What there was at each ``show`` of ``acts``."""
    topology = cases()["lab"]
    machine = topology.machine("worker1")
    tree, work = folder / "tree", folder / "work"
    work.mkdir()
    for state in design(topology).states:
        wanted = {"worker1": NETWORKS, "gateway": DNSMASQ}.get(state.machine)
        for file in state.files:
            if wanted and file.path.startswith(wanted):
                path = tree / file.path.lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)
    (tree / "network-config").write_bytes(network_config(topology, machine))
    argv = ["sh", "-c", LAN + acts, "sh", machine.mac]
    done = ground.run(machine.name, tree, work, argv, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        Seen(
            {
                card["ifname"]: [one["local"] for one in card["addr_info"] if one["family"] == "inet"]
                for card in cards
                if card["ifname"] in ("lan0", "card0")
            },
            sorted(way["metric"] for way in ways if way["dst"] == "default" and way["dev"] == "lan0"),
        )
        for cards, ways in zip(told[::2], told[1::2], strict=True)
    ]


def test_a_machine_boots_with_its_address_and_takes_a_lease_when_the_gateway_comes(
    ground: Ground, tmp_path: Path
) -> None:
    acts = f"""
boot; await 20 "{ADDRESS.format("lan0")}"; show
/usr/lib/systemd/systemd-networkd-wait-online --interface=lan0 --timeout=10  # or it would boot two minutes longer
come; await 30 "{LEASED.format("lan0")}"; show
grep -q worker1 {LEASES}
"""
    alone, served = seen(ground, tmp_path, acts)
    assert alone == Seen({"lan0": ["10.80.0.51"], "card0": []}, [2048])
    assert (served.addresses["lan0"], served.ways) == (["10.80.0.51"], [1024, 2048])


@pytest.mark.long
def test_a_machine_keeps_its_address_when_its_lease_ends_and_takes_another_lease(
    ground: Ground, tmp_path: Path
) -> None:
    acts = f"""
come; boot
for card in lan0 card0; do await 30 "{LEASED.format("$card")}"; done; show
go; sleep 122; await 30 "! {ADDRESS.format("card0")}"; show
>{LEASES}; come; await 90 "grep worker1 {LEASES}"; show
"""
    before, after, again = seen(ground, tmp_path, acts, timeout=360)
    (lent,) = before.addresses["card0"]
    assert 192 <= int(lent.rpartition(".")[2]) <= 254, "a stranger's, from the pool"
    assert before == Seen({"lan0": ["10.80.0.51"], "card0": [lent]}, [1024, 2048])
    assert after.addresses == {"lan0": ["10.80.0.51"], "card0": []}, "both leases are over"
    assert after.ways, "and the way out is there"
    assert (again.addresses["lan0"], again.ways) == (["10.80.0.51"], [1024, 2048])
