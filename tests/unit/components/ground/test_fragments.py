"""What the gateway's components and those of every machine put on it: the lines that matter."""

from __future__ import annotations

import pytest
from tests.golden.laid_out import cases

from groundplane.components import chrony, dnsmasq, nftables, registry, system
from groundplane.components.base import Component
from groundplane.components.catalog import published
from groundplane.state import Artifact, DataFolder, File, Sysctl, Unit
from groundplane.topology import Topology

NFTABLES = nftables.component(published)

LAB, VARIANT = cases()["lab"], cases()["variant"]


def files(component: Component, topology: Topology, machine: str) -> dict[str, File]:
    fragment = component.fragment(topology, topology.machine(machine))
    assert fragment is not None
    return {resource.path: resource for resource in fragment.resources if isinstance(resource, File)}


def text(component: Component, topology: Topology, machine: str, path: str) -> list[str]:
    return files(component, topology, machine)[path].content.decode().splitlines()


def sysctls(component: Component, topology: Topology, machine: str) -> dict[str, str]:
    fragment = component.fragment(topology, topology.machine(machine))
    assert fragment is not None
    return {resource.key: resource.value for resource in fragment.resources if isinstance(resource, Sysctl)}


@pytest.mark.parametrize("component", [dnsmasq.COMPONENT, NFTABLES, registry.COMPONENT])
def test_only_the_gateway_serves(component: Component) -> None:
    having = [machine.name for machine in LAB.machines if component.fragment(LAB, machine)]
    assert having == ["gateway"]


@pytest.mark.parametrize(
    "component", [system.COMPONENT, dnsmasq.COMPONENT, NFTABLES, chrony.COMPONENT, registry.COMPONENT]
)
@pytest.mark.parametrize("topology", [LAB, VARIANT], ids=["lab", "variant"])
def test_units_restart_for_files_that_exist(component: Component, topology: Topology) -> None:
    fragment = component.fragment(topology, topology.gateway)
    assert fragment is not None
    paths = {resource.path for resource in fragment.resources if isinstance(resource, File | Artifact)}
    read = {path for resource in fragment.resources if isinstance(resource, Unit) for path in resource.reads}
    assert read <= paths


class TestSystem:
    def test_hosts_name_the_machine_and_what_must_not_wait_for_dns(self) -> None:
        lines = text(system.COMPONENT, LAB, "cp1", "/etc/hosts")
        assert f"{LAB.machine('cp1').address} cp1.groundplane.internal cp1" in lines
        assert "10.80.0.1 gateway.groundplane.internal gateway registry.groundplane.internal" in lines
        assert "10.80.0.10 api.groundplane.internal" in lines
        assert not [line for line in lines if "cp2" in line]

    def test_gateway_is_named_once(self) -> None:
        lines = text(system.COMPONENT, LAB, "gateway", "/etc/hosts")
        assert len([line for line in lines if line.startswith("10.80.0.1 ")]) == 1

    def test_names_are_asked_of_the_gateway(self) -> None:
        lines = text(system.COMPONENT, VARIANT, "hand", "/etc/resolv.conf")
        assert {"search platform.example", "nameserver 192.168.40.1"} <= set(lines)

    def test_authority_is_public_and_its_key_stays_home(self) -> None:
        authority = files(system.COMPONENT, LAB, "cp1")["/etc/groundplane/pki/platform-ca.crt"]
        assert authority.content == LAB.secrets.platform_ca.certificate
        assert not authority.secret


class TestDnsmasq:
    CONFIG = "/etc/dnsmasq.d/groundplane.conf"

    def lines(self, topology: Topology) -> list[str]:
        return text(dnsmasq.COMPONENT, topology, topology.gateway.name, self.CONFIG)

    def test_every_other_machine_gets_its_own_address(self) -> None:
        hosts = [line for line in self.lines(LAB) if line.startswith("dhcp-host=")]
        assert hosts == [f"dhcp-host={m.mac},{m.name},{m.address}" for m in LAB.machines if m is not LAB.gateway]

    def test_strangers_get_one_of_the_pool(self) -> None:
        assert "dhcp-range=10.80.0.192,10.80.0.254,255.255.255.0,12h" in self.lines(LAB)

    def test_listens_on_the_lan_alone(self) -> None:
        assert {"interface=lan0", "except-interface=wan0", "bind-dynamic"} <= set(self.lines(LAB))

    def test_fixed_names(self) -> None:
        assert {
            "host-record=gateway.groundplane.internal,gateway,10.80.0.1",
            "host-record=registry.groundplane.internal,registry,10.80.0.1",
            "host-record=api.groundplane.internal,api,10.80.0.10",
        } <= set(self.lines(LAB))

    def test_without_an_uplink_nobody_else_is_asked(self) -> None:
        lines = self.lines(LAB)
        assert "no-resolv" in lines
        assert not [line for line in lines if line.startswith("server=")]

    def test_with_an_uplink_its_nameservers_are_asked_but_never_for_local_names(self) -> None:
        lines = self.lines(VARIANT)
        assert [line for line in lines if line.startswith("server=")] == ["server=192.0.2.53", "server=192.0.2.54"]
        assert {"no-resolv", "local=/platform.example/", "bogus-priv", "stop-dns-rebind"} <= set(lines)

    def test_ipv6_is_advertised_where_there_is_some_and_leads_nowhere(self) -> None:
        assert {"enable-ra", "dhcp-range=fd00:40::,ra-stateless,ra-names,64,12h", "ra-param=lan0,60,0"} <= set(
            self.lines(VARIANT)
        )
        assert not [line for line in self.lines(LAB) if "ra" in line.split("=")[0].split("-")]

    def test_leases_survive_the_gateway(self) -> None:
        fragment = dnsmasq.COMPONENT.fragment(LAB, LAB.gateway)
        assert fragment is not None
        (folder,) = [resource for resource in fragment.resources if isinstance(resource, DataFolder)]
        assert f"dhcp-leasefile={folder.path}/dnsmasq.leases" in self.lines(LAB)


class TestNftables:
    def lines(self, topology: Topology) -> list[str]:
        found = text(NFTABLES, topology, topology.gateway.name, "/etc/nftables.conf")
        return [line.strip() for line in found]

    @pytest.mark.parametrize("topology", [LAB, VARIANT], ids=["lab", "variant"])
    def test_closed_unless_said_otherwise(self, topology: Topology) -> None:
        lines = self.lines(topology)
        assert "type filter hook input priority filter; policy drop;" in lines
        assert "type filter hook forward priority filter; policy drop;" in lines
        assert not [line for line in lines if 'iifname "wan0"' in line]

    def test_own_table_is_replaced_and_no_other_touched(self) -> None:
        lines = self.lines(LAB)
        assert lines.index("table inet groundplane") + 1 == lines.index("delete table inet groundplane")
        assert "flush ruleset" not in lines

    def test_without_an_uplink_nothing_passes_and_askers_are_told(self) -> None:
        lines = self.lines(LAB)
        assert not [line for line in lines if "masquerade" in line or "oifname" in line]
        assert [line for line in lines if line.startswith('iifname "lan0" ip daddr !=') and "reject" in line]
        assert sysctls(NFTABLES, LAB, "gateway")["net.ipv4.ip_forward"] == "0"

    def test_with_an_uplink_the_lan_goes_out_under_the_gateways_address(self) -> None:
        lines = self.lines(VARIANT)
        assert 'oifname "wan0" ip saddr 192.168.40.0/23 masquerade' in lines
        assert 'iifname "lan0" oifname "wan0" ip saddr 192.168.40.0/23 accept' in lines
        assert sysctls(NFTABLES, VARIANT, "gate")["net.ipv4.ip_forward"] == "1"

    def test_only_balancers_ask_for_the_vote_and_a_lone_one_may_while_it_ends_to(self) -> None:
        for topology in (LAB, VARIANT):
            addresses = ", ".join(str(balancer.address) for balancer in topology.balancers)
            assert f'ip saddr {{ {addresses} }} tcp dport 5403 accept comment "quorum vote"' in self.lines(topology)


class TestChrony:
    def test_gateway_serves_the_lan_alone(self) -> None:
        lines = text(chrony.COMPONENT, LAB, "gateway", "/etc/chrony/chrony.conf")
        assert {"local stratum 8", "binddevice lan0", "allow 10.80.0.0/24"} <= set(lines)
        assert not [line for line in lines if line.startswith(("server", "pool"))]

    def test_others_follow_it_and_serve_nobody(self) -> None:
        lines = text(chrony.COMPONENT, LAB, "cp1", "/etc/chrony/chrony.conf")
        assert [line for line in lines if line.startswith("server 10.80.0.1 iburst")]
        assert "port 0" in lines
        assert not [line for line in lines if line.startswith(("allow", "local"))]

    def test_a_clock_of_somebody_elses_is_never_set(self) -> None:
        config = text(chrony.COMPONENT, LAB, "cp1", "/etc/chrony/chrony.conf")
        assert not [line for line in config if line.startswith(("makestep", "rtcsync"))]
        assert 'DAEMON_OPTS="-F 1 -x"' in text(chrony.COMPONENT, LAB, "cp1", "/etc/default/chrony")
        assert "ConditionCapability=" in text(
            chrony.COMPONENT, LAB, "cp1", "/etc/systemd/system/chrony.service.d/groundplane.conf"
        )

    def test_an_own_clock_is_set(self) -> None:
        assert "makestep 1 3" in text(chrony.COMPONENT, VARIANT, "hand", "/etc/chrony/chrony.conf")
        assert 'DAEMON_OPTS="-F 1"' in text(chrony.COMPONENT, VARIANT, "hand", "/etc/default/chrony")


class TestRegistry:
    def test_key_is_secret_and_handed_over_by_systemd(self) -> None:
        key = files(registry.COMPONENT, LAB, "gateway")["/etc/groundplane/registry/tls.key"]
        assert key.secret
        assert key.mode == 0o600
        unit = text(registry.COMPONENT, LAB, "gateway", "/etc/systemd/system/groundplane-registry.service")
        assert "LoadCredential=tls.key:/etc/groundplane/registry/tls.key" in unit
        config = text(registry.COMPONENT, LAB, "gateway", "/etc/groundplane/registry/config.yml")
        assert '    key: "/run/credentials/groundplane-registry.service/tls.key"' in config

    def test_serves_the_lan_for_reading_only(self) -> None:
        config = text(registry.COMPONENT, LAB, "gateway", "/etc/groundplane/registry/config.yml")
        assert '  addr: "10.80.0.1:5000"' in config
        assert config[config.index("    readonly:") + 1] == "      enabled: true"

    def test_names_its_binary(self) -> None:
        fragment = registry.COMPONENT.fragment(LAB, LAB.gateway)
        assert fragment is not None
        assert Artifact("registry", "/usr/local/bin/registry") in fragment.resources

    def test_changed_certificate_restarts_it(self) -> None:
        fragment = registry.COMPONENT.fragment(LAB, LAB.gateway)
        assert fragment is not None
        (unit,) = [resource for resource in fragment.resources if isinstance(resource, Unit)]
        assert "/etc/groundplane/registry/tls.crt" in unit.reads
