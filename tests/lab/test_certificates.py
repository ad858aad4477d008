"""Certificates whose life is over: a platform comes back with its operator, and without one."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.lab.conftest import Platform

pytestmark = pytest.mark.lab

# Signs what kubeadm made on this machine once more, with another life: from $1 to $2. With $3, what its kubelet renews
# as well.
SIGN = r"""
set -eu; cd "$(mktemp -d -p /run)"; P=/etc/kubernetes/pki
sign() { openssl x509 -in "$1" -CA "$P/$2.crt" -CAkey "$P/$2.key" -not_before "$begin" -not_after "$end" -out new.crt; }
begin=$1 end=$2
for pair in apiserver:ca apiserver-kubelet-client:ca apiserver-etcd-client:etcd/ca front-proxy-client:front-proxy-ca \
    etcd/server:etcd/ca etcd/peer:etcd/ca etcd/healthcheck-client:etcd/ca; do
  leaf=$P/${pair%%:*}.crt; sign "$leaf" "${pair##*:}"; cat new.crt >"$leaf"
done
for conf in admin controller-manager scheduler; do
  conf=/etc/kubernetes/$conf.conf
  sed -n 's/^ *client-certificate-data: //p' "$conf" | base64 -d >old.crt; sign old.crt ca
  sed -i "s|client-certificate-data: .*|client-certificate-data: $(base64 -w0 new.crt)|" "$conf"
done
[ -n "${3-}" ] || { rm -r "$PWD"; exit; }
own=$(readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem)
sign "$own" ca; openssl pkey -in "$own" >key.pem; cat new.crt key.pem >"$own"
rm -r "$PWD"
"""
CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
P = "/etc/kubernetes/pki"
RESIGN = f'openssl x509 -in /dev/stdin -CA {P}/ca.crt -CAkey {P}/ca.key -not_before "$1" -not_after "$2"'
EXCHANGE = f"""
set -eu; own=$(readlink -f {CLIENT}); key=$(openssl pkey -in "$own")
printf '%s\\n%s\\n' "$1" "$key" >"$own"; systemctl restart kubelet
"""
# Whoever holds them in memory forgets them; nothing of the machine can talk to anybody then.
FORGET = "pkill -KILL -x 'kube-apiserver|kube-controller|kube-scheduler|etcd'; systemctl restart --no-block kubelet"
OVER = ("20240101000000Z", "20250101000000Z")
SERVERS = ("pgrep", "-x", "kube-apiserver|etcd")


def sign(platform: Platform, machine: str, begin: str, end: str, *more: str) -> None:
    platform.ssh(machine, "sh", "-c", SIGN, "sign", begin, end, *more)


@pytest.mark.long
def test_a_platform_where_everything_is_over_comes_back(platform: Platform) -> None:
    control_planes = ("cp1", "cp2", "cp3")
    for machine in control_planes:
        sign(platform, machine, *OVER, "kubelet")
        platform.ssh(machine, "sh", "-c", FORGET)
    platform.run("up")  # and verifies
    entries = platform.json("history", "show", str(platform.json("history")["runs"][0]["id"]))["entries"]
    renewed = {entry["subject"] for entry in entries if entry["step"] == "certificates" and entry["changed"]}
    assert renewed == set(control_planes)
    platform.nothing_differs()


@pytest.mark.long
def test_a_worker_whose_certificate_is_over_and_whose_node_is_gone_joins_again(platform: Platform) -> None:
    """Under its name, with another range for its pods: nothing of the old one is in their way."""
    over = b64encode(platform.ssh("worker2", "openssl", "x509", "-in", CLIENT).encode()).decode()
    begin, end = OVER
    ended = platform.ssh("cp1", "sh", "-c", f"echo {over} | base64 -d | {RESIGN}", "sign", begin, end)
    platform.ssh("worker2", "sh", "-c", EXCHANGE, "exchange", ended)
    before = pods_range(platform, "worker2")
    platform.kubectl("delete", "node", "worker2")
    assert "kubeadm-join:worker2" in {step["name"] for step in plan(platform)["steps"]}
    platform.run("up")  # and verifies: a pod runs there, and is reached
    after = pods_range(platform, "worker2")
    assert after != before
    (bridge,) = json.loads(platform.ssh("worker2", "ip", "-4", "-json", "address", "show", "dev", "cni0"))
    assert ip_address(bridge["addr_info"][0]["local"]) in ip_network(after)
    platform.nothing_differs()


def pods_range(platform: Platform, node: str) -> str:
    return platform.kubectl("get", "node", node, "--output=jsonpath={.spec.podCIDR}")


def test_control_planes_renew_by_themselves_and_interrupt_nobody(platform: Platform) -> None:
    sign(platform, "cp2", "20260101000000Z", time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 30 * 86400)))
    (step,) = plan(platform)["steps"]
    assert step["name"] == "certificates:cp2"
    assert "pki/etcd/peer ends at" in step["seen"]
    before = platform.ssh("cp2", *SERVERS)
    platform.ssh("cp2", "systemctl", "start", "groundplane-renew")
    assert platform.ssh("cp2", *SERVERS) == before
    (address,) = (one["address"] for one in platform.json("status")["machines"] if one["name"] == "cp2")
    presented = f"openssl s_client -connect {address}:6443 </dev/null 2>/dev/null"
    lasting = f"{presented} | openssl x509 -noout -checkend {200 * 86400}"
    platform.wait_for("a new certificate is presented", lambda: _ok(platform, lasting))
    platform.run("verify", "certificates", "renewal", "control-plane-pods", "etcd")


def test_control_planes_approve_what_kubelets_ask_for_and_nothing_else(platform: Platform) -> None:
    before = _requests(platform)
    platform.ssh("worker1", "rm", "/var/lib/kubelet/pki/kubelet-server-current.pem")
    platform.ssh("worker1", "systemctl", "restart", "kubelet")
    platform.wait_for("the kubelet asks", lambda: _requests(platform).keys() > before.keys())
    platform.ssh("cp3", "systemctl", "start", "groundplane-approve")
    asked = {name: user for name, user in _requests(platform).items() if name not in before}
    assert set(asked.values()) == {"system:node:worker1"}
    platform.run("verify", "kubelet-certificates")


def plan(platform: Platform) -> Any:
    return json.loads(platform.run("plan", "--json", check=False).stdout)


def _ok(platform: Platform, script: str) -> bool:
    return bool(platform.ssh("cp2", "sh", "-c", f"{script} >/dev/null && echo yes", check=False).strip())


def _requests(platform: Platform) -> dict[str, str]:
    items = json.loads(platform.kubectl("get", "csr", "--output=json"))["items"]
    return {item["metadata"]["name"]: item["spec"]["username"] for item in items}
