"""What the Kubernetes components put on machines, and what the configuration says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest
from ruamel.yaml import YAML

from groundplane.components import containerd, flannel, kubeadm
from groundplane.components.cluster import paths
from groundplane.components.cluster.names import STATIC_PODS
from groundplane.components.etcd.fragment import ETCD_UID
from groundplane.components.etcd.fragment import USER as ETCD
from groundplane.components.flannel.steps import manifest
from groundplane.components.kubeadm import config
from groundplane.components.kubelet import size
from groundplane.components.kubelet.configuration import CIPHERS
from groundplane.components.kubelet.fragment import KUBELET_DEFAULTS, KUBELET_UNIT
from groundplane.spec.model import ClusterSpec, Network, Uplink
from groundplane.spec.roles import Role
from groundplane.state.compose import compose
from groundplane.state.model import File, MachineState
from groundplane.topology.model import Topology

PARTS = (containerd.COMPONENT, kubeadm.COMPONENT, flannel.COMPONENT)


def state(topology: Topology, name: str) -> MachineState:
    machine = topology.machine(name)
    fragments = (part.fragment(topology, machine) for part in PARTS)
    return compose(name, [fragment for fragment in fragments if fragment])


def files(topology: Topology, name: str) -> dict[str, File]:
    return {file.path: file for file in state(topology, name).files}


def documents(content: bytes) -> dict[str, Any]:
    """YAML documents by kind."""
    return {document["kind"]: document for document in YAML(typ="safe", pure=True).load_all(content.decode())}


def arguments(component: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in component["extraArgs"]}


def test_only_nodes_have_any(topology: Topology) -> None:
    for name in ("gateway", "lb1", "lb2"):
        assert state(topology, name) == MachineState(machine=name)


def test_workers_have_no_key(topology: Topology) -> None:
    held = files(topology, "worker1")
    assert not [path for path in held if path.startswith("/etc/kubernetes")]
    assert not [file for file in held.values() if file.secret]
    assert paths.INIT not in held


def test_control_planes_have_the_same_secrets_and_guard_them(topology: Topology) -> None:
    secret = [
        {path: file for path, file in files(topology, cp.name).items() if file.secret} for cp in topology.control_planes
    ]
    assert secret[0] == secret[1] == secret[2]
    assert {file.mode for file in secret[0].values()} == {0o600}
    assert {path.removeprefix(paths.PKI + "/") for path in secret[0]} == {
        "ca.key",
        "etcd/ca.key",
        "front-proxy-ca.key",
        "sa.key",
        f"{paths.API_CONFIG}/encryption.yaml",
    }


def test_same_topology_same_bytes(topology: Topology) -> None:
    assert state(topology, "cp1") == state(topology, "cp1")


def test_a_new_control_plane_changes_nothing_on_the_others(topology: Topology) -> None:
    fourth = replace(
        topology.machine("cp3"), name="cp4", fqdn="cp4.groundplane.internal", address=IPv4Address("10.80.0.24")
    )
    assert state(replace(topology, machines=(*topology.machines, fourth)), "cp1") == state(topology, "cp1")


def test_the_api_server_is_closed(topology: Topology) -> None:
    cluster = documents(config.init_configuration(topology, topology.machine("cp1")))["ClusterConfiguration"]
    flags = arguments(cluster["apiServer"])
    assert flags["profiling"] == arguments(cluster["scheduler"])["profiling"] == "false"
    assert arguments(cluster["controllerManager"])["profiling"] == "false"
    assert "anonymous-auth" not in flags
    assert {flags["audit-log-maxage"], flags["audit-log-maxbackup"], flags["audit-log-maxsize"]} == {"30", "10", "100"}
    assert flags["kubelet-certificate-authority"] == f"{paths.PKI}/ca.crt"
    assert flags["tls-min-version"] == "VersionTLS12"
    assert "CBC" not in flags["tls-cipher-suites"]
    mounted = {volume["mountPath"] for volume in cluster["apiServer"]["extraVolumes"]}
    for flag in ("audit-policy-file", "authentication-config", "encryption-provider-config", "audit-log-path"):
        assert flags[flag].rpartition("/")[0] in mounted


def test_what_the_pod_network_watches_is_not_logged_whichever_it_is(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = documents(manifest(topology))["ServiceAccount"]["metadata"]
    assert (flannel.NETWORK.namespace, flannel.NETWORK.account) == (account["namespace"], account["name"])
    monkeypatch.setattr(config, "POD_NETWORK", replace(flannel.NETWORK, namespace="other", account="agent"))
    quiet = [user for rule in documents(config.audit_policy())["Policy"]["rules"] for user in rule.get("users", ())]
    assert quiet[-1] == "system:serviceaccount:other:agent"


def test_a_pods_token_ends_when_it_says(topology: Topology) -> None:
    cluster = documents(config.init_configuration(topology, topology.machine("cp1")))["ClusterConfiguration"]
    flags = arguments(cluster["apiServer"])
    assert flags["service-account-extend-token-expiration"] == "false"
    assert flags["service-account-lookup"] == "true"


def test_etcd_is_a_user_of_its_own_that_owns_its_data_and_may_nothing_more(topology: Topology) -> None:
    patch = files(topology, "cp1")[f"{paths.PATCHES}/etcd+strategic.yaml"].content
    spec = YAML(typ="safe", pure=True).load(patch.decode())["spec"]
    owner = {"runAsUser": ETCD_UID, "runAsGroup": ETCD_UID, "supplementalGroups": [0]}
    assert spec["securityContext"] == owner, "and in root's group, which may read its keys"
    (container,) = spec["containers"]
    assert container["name"] == "etcd"
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    (user,) = (one for one in state(topology, "cp1").users if one.name == ETCD)
    assert user.uid == ETCD_UID
    (data,) = (one for one in state(topology, "cp1").data_folders if one.path == paths.ETCD_DATA)
    assert (data.owner, data.group, data.mode) == (ETCD, ETCD, 0o700), "CIS 1.1.11 and 1.1.12"


@pytest.mark.parametrize("name", STATIC_PODS)
def test_a_static_pod_is_seen_to_have_started_within_a_second_and_gets_kubeadms_four_minutes(
    topology: Topology, name: str
) -> None:
    patch = files(topology, "cp1")[f"{paths.PATCHES}/{name}+strategic.yaml"].content
    (container,) = YAML(typ="safe", pure=True).load(patch.decode())["spec"]["containers"]
    assert container["name"] == name
    probe = container["startupProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (1, 240)


def test_strangers_get_health_alone() -> None:
    anonymous = documents(config.authentication())["AuthenticationConfiguration"]["anonymous"]
    assert anonymous == {"enabled": True, "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}]}


def test_secrets_are_encrypted_and_never_plain(topology: Topology) -> None:
    (rule,) = documents(config.encryption(topology))["EncryptionConfiguration"]["resources"]
    assert rule["resources"] == ["secrets"]
    (provider,) = rule["providers"]
    (key,) = provider["secretbox"]["keys"]
    assert key["secret"] == "ZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWU="
    assert topology.secrets.encryption_key.text() not in key["name"]


def test_the_kubelet_is_closed(topology: Topology) -> None:
    kubelet = documents(config.init_configuration(topology, topology.machine("cp1")))["KubeletConfiguration"]
    assert kubelet["authentication"]["anonymous"]["enabled"] is False
    assert kubelet["authorization"]["mode"] == "Webhook"
    assert kubelet["readOnlyPort"] == 0
    assert kubelet["serverTLSBootstrap"] is True
    assert kubelet["rotateCertificates"] is True
    assert kubelet["protectKernelDefaults"] is True
    assert kubelet["tlsCipherSuites"] == list(CIPHERS)


def test_times_are_written_as_kubeadm_writes_them(topology: Topology) -> None:
    """Else what it keeps in the cluster would differ from ours by its form, on every new platform."""
    kubelet = documents(config.init_configuration(topology, topology.machine("cp1")))["KubeletConfiguration"]
    times = [str(value) for value in kubelet.values() if re.fullmatch(r"(\d+[hms])+", str(value))]
    assert times
    assert [time for time in times if not re.fullmatch(r"(\d+h\d+m|\d+m)?\d+s", time)] == []


def test_the_kubelet_reads_a_file_of_ours_and_the_cluster_keeps_a_copy(topology: Topology) -> None:
    here = state(topology, "worker1")
    held = {file.path: file.content for file in here.files}
    (path,) = re.findall(r"--config=([^\"]+)", held["/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"].decode())
    assert path in next(unit.reads for unit in here.units if unit.name == "kubelet.service")
    kubelet = documents(held[path])["KubeletConfiguration"]
    assert kubelet == documents(config.init_configuration(topology, topology.machine("cp1")))["KubeletConfiguration"]
    assert kubelet["clusterDNS"] == ["10.96.0.10"]
    assert kubelet["staticPodPath"] == paths.MANIFESTS


def test_what_the_kubelet_insists_on_is_there(topology: Topology) -> None:
    settings = {setting.key: setting.value for setting in state(topology, "cp1").sysctls}
    assert settings["vm.overcommit_memory"] == "1"
    assert settings["net.ipv4.ip_forward"] == "1"


def test_a_shared_kernel_is_not_ours_to_set(lab: Topology) -> None:
    assert {setting.key for setting in state(lab, "cp1").sysctls} == {"net.ipv4.ip_forward"}
    found = documents(config.init_configuration(lab, lab.machine("cp1")))
    kubelet, proxy = found["KubeletConfiguration"], found["KubeProxyConfiguration"]
    assert (kubelet["cgroupDriver"], kubelet["failCgroupV1"], kubelet["failSwapOn"]) == ("cgroupfs", False, False)
    assert kubelet["protectKernelDefaults"] is False
    assert proxy["conntrack"] == {"maxPerCore": 0, "min": 0}
    assert not [value for value in kubelet["evictionHard"].values() if value.endswith("%")]
    assert "SystemVerification" in found["InitConfiguration"]["nodeRegistration"]["ignorePreflightErrors"]


def test_a_node_on_somebody_elses_kernel_is_told_its_size(topology: Topology, lab: Topology) -> None:
    worker = replace(lab.machine("worker1"), cpus=1.5)
    told = state(replace(lab, machines=(worker,)), "worker1")
    script = next(file for file in told.files if file.path == size.SCRIPT).content.decode()
    assert "memory=3145728 cpus=2\n" in script
    units = {unit.name: unit for unit in told.units}
    assert units[size.UNIT].effect == (size.SCRIPT, "look")
    assert size.SCRIPT in units[size.UNIT].reads
    assert size.SCRIPT in units["kubelet.service"].reads, "it asks how large the machine is only when it begins"
    assert f"PartOf={size.UNIT}\n".encode() in files(lab, "worker1")[KUBELET_UNIT].content
    assert size.SCRIPT not in files(topology, "worker1")
    assert size.UNIT.encode() not in files(topology, "worker1")[KUBELET_UNIT].content


def test_what_a_node_is_besides_has_its_memory(topology: Topology) -> None:
    def said(*roles: Role) -> str:
        machine = replace(topology.machine("cp1"), roles=roles)
        return files(replace(topology, machines=(machine,)), "cp1")[KUBELET_DEFAULTS].content.decode()

    assert said(Role.CONTROL_PLANE, Role.WORKER) == "KUBELET_EXTRA_ARGS=--node-ip=10.80.0.21\n"
    assert said(Role.BALANCER, Role.CONTROL_PLANE).endswith(" --system-reserved=cpu=100m,memory=512Mi\n")
    common = documents(config.init_configuration(topology, topology.machine("cp1")))["KubeletConfiguration"]
    assert common["systemReserved"] == {"cpu": "100m", "memory": "256Mi"}


def test_cgroup_2_is_systemds(topology: Topology) -> None:
    found = documents(config.init_configuration(topology, topology.machine("cp1")))
    assert found["KubeletConfiguration"]["cgroupDriver"] == "systemd"
    assert found["KubeProxyConfiguration"]["mode"] == "nftables"
    assert "ignorePreflightErrors" not in found["InitConfiguration"]["nodeRegistration"]


def test_images_are_the_bundles(topology: Topology) -> None:
    cluster = documents(config.init_configuration(topology, topology.machine("cp1")))["ClusterConfiguration"]
    software = topology.software
    assert cluster["kubernetesVersion"] == f"v{software.kubernetes}"
    assert f"{cluster['imageRepository']}/etcd:{cluster['etcd']['local']['imageTag']}" in software.images
    assert f"{cluster['dns']['imageRepository']}/coredns:{cluster['dns']['imageTag']}" in software.images


def test_joining_needs_no_secret_in_the_state(topology: Topology) -> None:
    join = documents(config.join_configuration(topology, topology.machine("cp2")))["JoinConfiguration"]
    assert join["discovery"] == {"file": {"kubeConfigPath": paths.ADMIN}}
    assert join["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == "10.80.0.22"
    worker = documents(config.join_configuration(topology, topology.machine("worker1")))["JoinConfiguration"]
    assert worker["discovery"] == {"file": {"kubeConfigPath": paths.DISCOVERY}}
    assert "controlPlane" not in worker
    assert "taints" not in worker["nodeRegistration"]


def test_without_workers_control_planes_take_pods(topology: Topology) -> None:
    alone = replace(topology, machines=tuple(m for m in topology.machines if not m.name.startswith("worker")))
    registration = documents(config.init_configuration(alone, alone.machine("cp1")))["InitConfiguration"][
        "nodeRegistration"
    ]
    assert registration["taints"] == []


def test_the_first_token_is_over_at_once(topology: Topology) -> None:
    init = documents(config.init_configuration(topology, topology.machine("cp1")))["InitConfiguration"]
    assert [token["ttl"] for token in init["bootstrapTokens"]] == ["1s"]
    assert {"upload-certs", "show-join-command"} <= set(init["skipPhases"])


def test_etcds_election_is_ten_heartbeats(topology: Topology, lab: Topology) -> None:
    for ground in (topology, lab):
        flags = dict(config.etcd_arguments(ground))
        assert int(flags["election-timeout"]) == 10 * int(flags["heartbeat-interval"])


@pytest.mark.parametrize(("trait", "adjusts", "driver"), [("topology", False, True), ("lab", True, False)])
def test_containerd_follows_the_ground(request: pytest.FixtureRequest, trait: str, adjusts: bool, driver: bool) -> None:
    ground: Topology = request.getfixturevalue(trait)
    held = files(ground, "worker1")
    settings = tomllib.loads(held["/etc/containerd/config.toml"].content.decode())
    plugins = settings["plugins"]
    runtime, images = plugins["io.containerd.cri.v1.runtime"], plugins["io.containerd.cri.v1.images"]
    assert settings["version"] == 3
    assert runtime["restrict_oom_score_adj"] is adjusts
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is driver
    assert images["pinned_images"]["sandbox"] in ground.software.images
    unit = held["/etc/systemd/system/containerd.service"].content.decode()
    assert ("OOMScoreAdjust" in unit) is not adjusts


def test_sealed_platforms_ask_their_own_registry_alone(topology: Topology) -> None:
    held = files(topology, "worker1")
    base = "https://registry.groundplane.internal:5000/v2"
    for host, server in (
        ("registry.k8s.io", f"{base}/registry.k8s.io"),
        ("groundplane.local", f"{base}/groundplane.local"),
        ("_default", base),
    ):
        settings = tomllib.loads(held[f"/etc/containerd/certs.d/{host}/hosts.toml"].content.decode())
        assert settings["server"] == server
        assert settings["override_path"] is True
        assert "host" not in settings


def test_with_an_uplink_the_own_registry_is_asked_first(topology: Topology) -> None:
    uplink = Uplink(address=IPv4Interface("192.0.2.2/24"), router=IPv4Address("192.0.2.1"))
    spec = ClusterSpec(name="demo", network=Network(uplink=uplink))
    held = files(replace(topology, spec=spec), "worker1")
    settings = tomllib.loads(held["/etc/containerd/certs.d/docker.io/hosts.toml"].content.decode())
    assert "server" not in settings
    assert list(settings["host"]) == ["https://registry.groundplane.internal:5000/v2/docker.io"]
    assert "/etc/containerd/certs.d/_default/hosts.toml" not in held


def test_flannel_is_told_every_name_that_a_nodes_card_has(topology: Topology) -> None:
    machines = tuple(
        replace(machine, interface="ens3") if machine.name == "worker2" else machine for machine in topology.machines
    )
    lines = [line.strip() for line in manifest(replace(topology, machines=machines)).decode().splitlines()]
    assert [line for line in lines if "--iface" in line] == ["- --iface=lan0", "- --iface=ens3"]


def test_a_node_is_ready_for_pods_once_flannel_is_and_after_a_boot_too(topology: Topology) -> None:
    pod = documents(manifest(topology))["DaemonSet"]["spec"]["template"]["spec"]
    (daemon,), (layer,) = pod["initContainers"], pod["containers"]
    assert (daemon["command"], daemon["restartPolicy"]) == (["/opt/bin/flanneld"], "Always")
    assert daemon["startupProbe"]["httpGet"]["path"] == "/readyz"
    conflist = "/etc/cni/net.d/10-flannel.conflist"
    assert conflist in layer["args"][0].split()
    boot = files(topology, "worker1")["/etc/tmpfiles.d/groundplane-flannel.conf"]
    assert boot.content.decode().split() == ["r!", conflist]
