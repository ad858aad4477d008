"""The checks against scripted machines: each holds when all is well, and fails for the reason it names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.golden.laid_out import cases

from groundplane.components import chrony, dnsmasq, nftables, registry
from groundplane.components.base import Component
from groundplane.components.catalog import published
from groundplane.components.everywhere import some
from groundplane.components.nftables.sockets import Socket, sockets
from groundplane.errors import Unreachable
from groundplane.state import Completed
from groundplane.topology import Topology
from groundplane.transport.fake import Call, FakeTransport
from groundplane.verify.condition import NotYet

NFTABLES = nftables.component(published)

LAB, VARIANT = cases()["lab"], cases()["variant"]


def probe(component: Component, name: str, fake: FakeTransport, topology: Topology = LAB) -> str:
    (check,) = [check for check in component.checks(topology) if check.name == name]
    assert check.remedy
    return asyncio.run(_run(check.probe(fake)))


async def _run(awaitable: object) -> str:
    return await awaitable  # type: ignore[misc, no-any-return]


def names(component: Component, topology: Topology) -> list[str]:
    return [check.name for check in component.checks(topology)]


class TestLeases:
    def fake(self, skip: str = "", address: str = "") -> FakeTransport:
        lines = ["duid 00:01:00:01:32:97:43:e0:5e:84:b2:28:6e:da"]
        for machine in LAB.machines:
            if machine.name not in ("gateway", skip):
                lines.append(f"1795501932 {machine.mac} {machine.address} {machine.name} ff:00:00:00:15")
        lines.append(f"1795501932 02:00:00:00:00:99 {address or '10.80.0.200'} stranger *")
        fake = FakeTransport()
        fake.on("gateway", "cat", "/var/lib/misc/dnsmasq.leases", answers="\n".join(lines))
        return fake

    def test_all_there(self) -> None:
        assert probe(dnsmasq.COMPONENT, "leases", self.fake()) == "7 machines have their lease"

    def test_names_who_has_none(self) -> None:
        with pytest.raises(NotYet, match="cp2"):
            probe(dnsmasq.COMPONENT, "leases", self.fake(skip="cp2"))


class TestNames:
    def fake(self, answer: Callable[[str, str], str | None]) -> FakeTransport:
        """``answer(name, kind)`` says what dnsmasq would; None: nothing."""

        def dig(call: Call) -> Completed:
            questions = [line.split() for line in call.stdin.decode().splitlines()]
            answers = [(name, kind, answer(name, kind)) for name, kind in questions]
            said = "".join(f"{name}\t0\tIN\t{kind}\t{data}\n" for name, kind, data in answers if data)
            return Completed(0, said.encode(), b"")

        fake = FakeTransport()
        fake.on("*", "dig", then=dig)
        return fake

    @staticmethod
    def truth(name: str, kind: str) -> str | None:
        if kind == "PTR":
            return {f"{m.address.reverse_pointer}.": f"{m.fqdn}." for m in LAB.machines}.get(name)
        known = {f"{m.fqdn}.": str(m.address) for m in LAB.machines}
        domain = LAB.lan.domain
        known |= {f"api.{domain}.": str(LAB.lan.floating), f"registry.{domain}.": str(LAB.lan.gateway)}
        return known.get(name)

    def test_every_machine_asks_for_every_name_at_once(self) -> None:
        fake = self.fake(self.truth)
        assert probe(dnsmasq.COMPONENT, "names", fake) == "8 machines find 18 names and addresses"
        assert sorted(call.machine for call in fake.calls) == sorted(machine.name for machine in LAB.machines)

    def test_a_missing_name_fails(self) -> None:
        with pytest.raises(NotYet, match=r"worker1\.groundplane\.internal\. A"):
            probe(dnsmasq.COMPONENT, "names", self.fake(lambda n, k: None if "worker1" in n else self.truth(n, k)))

    def test_a_wrong_way_back_fails(self) -> None:
        with pytest.raises(NotYet, match="PTR"):
            probe(dnsmasq.COMPONENT, "names", self.fake(lambda n, k: "else." if k == "PTR" else self.truth(n, k)))

    def test_an_unreachable_machine_is_told_with_the_rest(self) -> None:
        fake = self.fake(self.truth)
        fake.on("cp2", "dig", raises=Unreachable("does not answer", where="cp2"))
        fake.on("cp3", "dig", answers="")
        with pytest.raises(NotYet, match="cp2: does not answer; cp3: asks in vain"):
            probe(dnsmasq.COMPONENT, "names", fake)


class TestTime:
    LOCAL = "7F7F0101,,8,1795458846.0,0.000000000,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,Normal"
    FOLLOWING = "0A500001,10.80.0.1,9,1795458850.7,-0.000003992,0.0,0.0,0.0,0.861,46.0,0.00001,0.0002,2.0,Normal"
    NOBODY = "00000000,,0,0.0,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised"

    def fake(self, cp1: str = FOLLOWING, gateway: str = LOCAL) -> FakeTransport:
        fake = FakeTransport()
        fake.on("*", "chronyc", answers=self.FOLLOWING)
        fake.on("gateway", "chronyc", answers=gateway)
        fake.on("cp1", "chronyc", answers=cp1)
        return fake

    def test_all_follow(self) -> None:
        assert probe(chrony.COMPONENT, "time", self.fake()) == "8 machines follow the gateway, at most 0.0 ms off"

    @pytest.mark.parametrize(
        ("seen", "complaint"),
        [
            (NOBODY, "cp1: follows nobody yet"),
            (FOLLOWING.replace("10.80.0.1", "10.80.0.21"), r"cp1: should follow 10\.80\.0\.1, follows 10\.80\.0\.21"),
            (FOLLOWING.replace("-0.000003992", "-0.120000000"), r"cp1: is -120\.0 ms off"),
            ("506 Cannot talk to daemon", "cp1: chrony says: 506"),
            ("", "cp1: chrony says: nothing"),
        ],
    )
    def test_who_does_not_follow_fails(self, seen: str, complaint: str) -> None:
        with pytest.raises(NotYet, match=complaint):
            probe(chrony.COMPONENT, "time", self.fake(cp1=seen))

    def test_gateway_going_by_another_clock_fails(self) -> None:
        with pytest.raises(NotYet, match="gateway: should go by its own clock"):
            probe(chrony.COMPONENT, "time", self.fake(gateway=self.FOLLOWING))


class TestRegistry:
    def fake(self, missing: str = "", stderr: str = "") -> FakeTransport:
        def curl(call: Call) -> Completed:
            lines = call.stdin.decode().splitlines()
            urls = [line.split('"')[1] for line in lines if line.startswith("url")]
            assert "--cacert" in call.argv
            statuses = ["404" if missing and missing in url else "200" for url in urls]
            if stderr:
                statuses = ["000"] * len(urls)
            said = "".join(f"{status} {url}\n" for status, url in zip(statuses, urls, strict=True))
            return Completed(60 if stderr else 0, said.encode(), stderr.encode())

        fake = FakeTransport()
        fake.on("*", "curl", then=curl)
        return fake

    def test_all_images_there(self) -> None:
        fake = self.fake()
        said = probe(registry.COMPONENT, "registry", fake)
        assert said == f"5 nodes can have all {len(LAB.software.images)} images"
        assert b"https://registry.groundplane.internal:5000/v2/registry.k8s.io/pause/manifests/" in fake.calls[0].stdin

    def test_a_missing_image_is_named(self) -> None:
        with pytest.raises(NotYet, match=r"404 https://.*/pause/"):
            probe(registry.COMPONENT, "registry", self.fake(missing="/pause/"))

    def test_distrust_is_told_in_curls_words(self) -> None:
        with pytest.raises(NotYet, match="SSL certificate problem"):
            probe(registry.COMPONENT, "registry", self.fake(stderr="curl: (60) SSL certificate problem: self-signed"))

    def test_curl_missing_fails(self) -> None:
        fake = FakeTransport()
        fake.on("*", "curl", status=127, stderr="curl: not found")
        with pytest.raises(NotYet, match="status 127"):
            probe(registry.COMPONENT, "registry", fake)


LISTENING = """\
udp UNCONN 0      0          127.0.0.1:53   0.0.0.0:*
udp UNCONN 0      0          10.80.0.1:53   0.0.0.0:*
udp UNCONN 0      0       0.0.0.0%lan0:67   0.0.0.0:*
udp UNCONN 0      0       0.0.0.0%lan0:123  0.0.0.0:*
tcp LISTEN 0      32         10.80.0.1:53   0.0.0.0:*
tcp LISTEN 0      4096       10.80.0.1:5000 0.0.0.0:*
tcp LISTEN 0      10         10.80.0.1:5403 0.0.0.0:*
tcp LISTEN 0      128             [::]:22      [::]:*
tcp LISTEN 0      32   [fe80::1]%lan0:53      [::]:*
"""
CHAIN = "table inet groundplane {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"


class TestGateway:
    def fake(self, listening: str = LISTENING, chain: str = CHAIN) -> FakeTransport:
        fake = FakeTransport()
        fake.on("*", "ss", answers=listening)
        fake.on("*", "nft", "list", "chain", answers=chain)
        return fake

    def test_reads_sockets(self) -> None:
        found = sockets(LISTENING)
        assert Socket("udp", "0.0.0.0", "lan0", 67) in found
        assert sockets("tcp LISTEN 0 128 *:22 *:*") == (Socket("tcp", "*", "", 22),)
        assert Socket("tcp", "fe80::1", "lan0", 53) in found
        assert Socket("tcp", "::", "", 22) in found

    def test_serves(self) -> None:
        assert probe(NFTABLES, "gateway-serves", self.fake()) == "all 6 services listen on 10.80.0.1"

    def test_a_lone_balancer_needs_no_vote(self) -> None:
        lan = LISTENING.replace("10.80.0.1:", "192.168.40.1:").replace("192.168.40.1:5403", "127.0.0.1:1")
        assert "all 5 services" in probe(NFTABLES, "gateway-serves", self.fake(lan), VARIANT)

    @pytest.mark.parametrize(("port", "what"), [(67, "DHCP"), (123, "time"), (5000, "registry"), (5403, "vote")])
    def test_names_the_service_that_is_missing(self, port: int, what: str) -> None:
        less = "".join(line for line in LISTENING.splitlines(keepends=True) if f":{port} " not in line)
        with pytest.raises(NotYet, match=what):
            probe(NFTABLES, "gateway-serves", self.fake(less))

    def test_listening_on_another_card_is_not_serving_the_lan(self) -> None:
        with pytest.raises(NotYet, match="DHCP"):
            probe(NFTABLES, "gateway-serves", self.fake(LISTENING.replace("%lan0:67", "%wan0:67")))

    def test_outer_side_silent(self) -> None:
        assert "wan0" in probe(NFTABLES, "outer-side-silent", self.fake())

    @pytest.mark.parametrize(
        "line",
        [
            "tcp LISTEN 0 128 0.0.0.0:5000 0.0.0.0:*",
            "udp UNCONN 0 0 0.0.0.0%wan0:67 0.0.0.0:*",
            "udp UNCONN 0 0 *:53 *:*",
            "tcp LISTEN 0 10 *:5403 *:*",
        ],
    )
    def test_outer_side_with_a_listener_fails(self, line: str) -> None:
        with pytest.raises(NotYet, match="listens on the outer side"):
            probe(NFTABLES, "outer-side-silent", self.fake(LISTENING + line))

    def test_uplink_address_is_the_outer_side_but_questions_under_way_are_not(self) -> None:
        fine = LISTENING + "udp UNCONN 0 0 0.0.0.0:56607 0.0.0.0:*"
        assert probe(NFTABLES, "outer-side-silent", self.fake(fine), VARIANT)
        with pytest.raises(NotYet, match=r"192\.0\.2\.2:5000"):
            probe(
                NFTABLES,
                "outer-side-silent",
                self.fake(LISTENING + "tcp LISTEN 0 128 192.0.2.2:5000 0.0.0.0:*"),
                VARIANT,
            )

    @pytest.mark.parametrize("chain", [CHAIN.replace("drop", "accept"), "", CHAIN + 'iifname "wan0" accept'])
    def test_an_open_or_missing_filter_fails(self, chain: str) -> None:
        with pytest.raises(NotYet, match="packet filter"):
            probe(NFTABLES, "outer-side-silent", self.fake(chain=chain))


class TestNoWayOut:
    REFUSED = ";; ->>HEADER<<- opcode: QUERY, status: REFUSED, id: 1"

    def fake(self, said: str = "No route to host", status: int = 1, dig: str = REFUSED) -> FakeTransport:
        fake = FakeTransport()
        for machine in LAB.machines:
            words = said if machine.name == "cp1" else "No route to host"
            fake.on(machine.name, "nc", status=status if machine.name == "cp1" else 1, stderr=f"nc: failed: {words}")
        fake.on("*", "dig", answers=self.REFUSED)
        fake.on("cp1", "dig", answers=dig, status=0 if dig else 9)
        return fake

    def test_all_are_turned_away(self) -> None:
        said = probe(NFTABLES, "no-route-outside", self.fake())
        assert said == "8 machines are told at once that there is no way out"

    @pytest.mark.parametrize(
        ("fake", "complaint"),
        [
            ({"said": "succeeded", "status": 0}, "cp1: reached"),
            ({"said": "timed out: Operation now in progress"}, "cp1: got no answer when it tried"),
            ({"said": "not found", "status": 127}, "cp1: nc ended with status 127"),
            ({"dig": ";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1"}, "cp1: asked for .* NOERROR"),
            ({"dig": ""}, "cp1: got no answer when it asked"),
        ],
    )
    def test_a_way_out_or_silence_fails(self, fake: dict[str, str], complaint: str) -> None:
        with pytest.raises(NotYet, match=complaint):
            probe(NFTABLES, "no-route-outside", self.fake(**fake))  # type: ignore[arg-type]

    def test_is_not_asked_of_a_platform_with_an_uplink(self) -> None:
        assert "no-route-outside" in names(NFTABLES, LAB)
        assert "no-route-outside" not in names(NFTABLES, VARIANT)


def test_some_words_of_many() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some("abcdef") == "a, b, c, d and 2 more"
