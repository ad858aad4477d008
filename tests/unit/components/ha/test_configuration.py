"""Pacemaker's living configuration: what counts as a difference, what is left alone, and how it is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

import pytest
from tests.unit.components.ha import said
from tests.unit.components.ha.platform import topology

from groundplane.components.pacemaker.configuration import OURS, Comparison, compare
from groundplane.components.pacemaker.fragment import cib
from groundplane.components.pacemaker.steps import steps, words
from groundplane.errors import StepError, Unreachable
from groundplane.spec.model import Standby
from groundplane.state.step import Completed, Step

PACEMAKERS_OWN = """<nvpair id="cib-bootstrap-options-have-watchdog" name="have-watchdog" value="false"/>
  <nvpair id="cib-bootstrap-options-dc-version" name="dc-version" value="3.0.0-3.0.0"/>
  <nvpair id="cib-bootstrap-options-last-lrm-refresh" name="last-lrm-refresh" value="1795897319"/>"""
BANS = """<rsc_location id="cli-ban-floating-address-on-lb1" rsc="floating-address" node="lb1" score="-INFINITY"/>
  <rsc_location id="cli-prefer-haproxy-clone" rsc="haproxy-clone" node="lb1" score="INFINITY"/>"""


STOPPED = """<meta_attributes id="haproxy-clone-meta_attributes">
  <nvpair id="haproxy-clone-meta_attributes-target-role" name="target-role" value="Stopped"/></meta_attributes>"""


def alive(text: bytes | None = None, **parts: str) -> bytes:
    """A configuration of ours as it lives: with what Pacemaker and users add at the end of a section."""
    found = (text or cib(topology())).decode()
    for section, more in parts.items():
        end = "</cluster_property_set>" if section == "crm_config" else f"</{section}>"
        assert end in found
        found = found.replace(end, f"{more}{end}")
    return found.encode()


def changed(old: str, new: str, text: bytes | None = None) -> bytes:
    found = (text or cib(topology())).decode()
    assert old in found
    return found.replace(old, new).encode()


def to_two(found: bytes, *, newest: bool = True) -> Comparison:
    return compare(found, cib(topology()), newest=newest)


@pytest.mark.parametrize("balancers", [1, 2])
@pytest.mark.parametrize("standby", list(Standby))
@pytest.mark.parametrize("release", ["trixie", "bookworm"])
def test_every_id_at_the_top_of_a_section_is_known_as_ours(balancers: int, standby: Standby, release: str) -> None:
    root = ElementTree.fromstring(cib(topology(balancers=balancers, standby=standby, release=release)))
    given = {
        element.attrib["id"] for section in ("resources", "constraints") for element in root.findall(f".//{section}/*")
    }
    options = {
        pair.attrib["id"] for where in ("crm_config", "rsc_defaults") for pair in root.findall(f".//{where}//nvpair")
    }
    assert given | options <= OURS


@pytest.mark.parametrize(
    "found",
    [
        alive(),
        alive(crm_config=PACEMAKERS_OWN),
        alive(constraints=BANS),
        alive(resources='<primitive id="mine" class="ocf" provider="heartbeat" type="Dummy"/>'),
        alive(nodes="").replace(
            b'<node id="1" uname="lb1"/>',
            b'<node id="1" uname="lb1"><instance_attributes id="nodes-1">'
            b'<nvpair id="nodes-1-standby" name="standby" value="on"/></instance_attributes></node>',
        ),
        alive(crm_config='<nvpair id="cib-bootstrap-options-maintenance-mode" name="maintenance-mode" value="true"/>'),
        changed("<!-- Without a majority nothing runs. -->", ""),
        changed('<clone id="haproxy-clone">', f'<clone id="haproxy-clone">{STOPPED}'),
        changed('id="haproxy-failure-timeout"', 'id="haproxy-meta_attributes-failure-timeout"'),
    ],
    ids=["fresh", "pacemaker's own", "bans", "another resource", "standby", "maintenance", "comments", "stopped", "id"],
)  # fmt: skip
def test_what_pacemaker_and_users_add_is_no_difference_and_stays(found: bytes) -> None:
    seen = to_two(found)
    assert (seen.differences, seen.strangers, seen.restarts) == ((), (), ())
    before, after = ElementTree.fromstring(found), ElementTree.fromstring(seen.target)
    after.set("epoch", "1")
    assert ElementTree.tostring(after) == ElementTree.tostring(before)


@pytest.mark.parametrize(
    ("old", "new", "said_so", "restarts"),
    [
        ('name="dc-deadtime" value="2s"', 'name="dc-deadtime" value="20s"', "dc-deadtime is 20s instead of 2s", ()),
        (
            '<nvpair id="rsc-defaults-stickiness" name="resource-stickiness" value="100"/>',
            "",
            "resource-stickiness is unset instead of 100",
            (),
        ),
        (
            '<op id="haproxy-monitor" name="monitor" interval="1s" timeout="10s"/>',
            '<op id="haproxy-monitor" name="monitor" interval="5s" timeout="10s"/>',
            "haproxy-clone: monitor interval is 5s instead of 1s",
            (),
        ),
        (
            'name="nic" value="lan0"',
            'name="nic" value="eth0"',
            "floating-address: nic is eth0 instead of lan0",
            ("floating-address",),
        ),
        (
            'provider="groundplane" type="floating-address"',
            'provider="heartbeat" type="IPaddr2"',
            "floating-address: provider is heartbeat instead of groundplane",
            ("floating-address",),
        ),
        ('score="200"', 'score="20"', "address-with-leader: address-with-leader-rule score is 20 instead of 200", ()),
    ],
)
def test_what_differs_is_told_and_mended(old: str, new: str, said_so: str, restarts: tuple[str, ...]) -> None:
    found = alive(changed(old, new), crm_config=PACEMAKERS_OWN, constraints=BANS)
    seen = to_two(found)
    assert seen.differences[0] == said_so
    assert seen.restarts == restarts
    after = to_two(seen.target)
    assert after.differences == ()
    for kept in (b"last-lrm-refresh", b"cli-ban-floating-address-on-lb1", b"cli-prefer-haproxy-clone"):
        assert kept in seen.target


def test_an_option_of_ours_that_is_not_wanted_any_more_goes() -> None:
    lone = compare(cib(topology()), cib(topology(balancers=1)))
    assert "address-with-leader is there, which is not wanted any more" in lone.differences
    assert lone.strangers == ("lb2",)
    assert b'uname="lb2"' in lone.target  # Pacemaker itself forgets it, with all that it remembers of it
    older = alive(crm_config='<nvpair id="option-transition-delay" name="once-given" value="1"/>')
    assert to_two(older).differences == ("once-given is 1, which is not wanted any more",)
    assert b"once-given" not in to_two(older).target


def test_from_hot_to_cold_and_back_nothing_dangles_and_what_users_set_stays() -> None:
    stopped = '<nvpair id="haproxy-meta-managed" name="is-managed" value="false"/></meta_attributes><operations>'
    hot = alive(constraints=BANS).decode()
    begin = hot.index('<primitive id="haproxy"')
    end = hot.index("</primitive>", begin)
    hot = (
        f"{hot[:begin]}{hot[begin:end].replace('</meta_attributes>', stopped.removesuffix('<operations>'))}{hot[end:]}"
    )
    wanted = cib(topology(standby=Standby.COLD))
    cold = compare(hot.encode(), wanted)
    assert "cli-prefer-haproxy-clone is about haproxy-clone, which goes" in cold.differences
    root = ElementTree.fromstring(cold.target)
    ids = [element.attrib["id"] for element in root.findall("configuration/resources//*[@id]")]
    assert len(ids) == len(set(ids))
    assert root.find(".//group/primitive[@id='haproxy']//nvpair[@name='is-managed']") is not None
    assert b"cli-prefer-haproxy-clone" not in cold.target
    assert b"cli-ban-floating-address-on-lb1" in cold.target
    assert cold.restarts == ("floating-address",)
    assert compare(cold.target, wanted).differences == ()
    again = to_two(cold.target)
    assert "api is there, which is not wanted any more" in again.differences
    assert again.restarts == ()
    assert to_two(again.target).differences == ()


def test_the_members_of_a_group_have_an_order() -> None:
    cold = cib(topology(standby=Standby.COLD))
    root = ElementTree.fromstring(cold)
    group = root.find("configuration/resources/group")
    assert group is not None
    group[:] = reversed(list(group))
    assert compare(ElementTree.tostring(root), cold).differences == ("api: its members are in another order",)


@pytest.mark.parametrize(
    ("found", "newest", "raised"),
    [
        ("pacemaker-3.2", True, True),
        ("pacemaker-3.10", True, True),
        ("pacemaker-3.2", False, False),
        ("pacemaker-4.1", True, False),
        ("none", True, False),
    ],
)
def test_the_schema_is_raised_where_all_can_read_it_and_never_lowered(found: str, newest: bool, raised: bool) -> None:
    seen = to_two(changed("pacemaker-4.0", found), newest=newest)
    assert seen.differences == ((f"its schema is {found} instead of pacemaker-4.0",) if raised else ())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Could not connect to the CIB: Transport endpoint is not connected",
        b"<cib>",
        b"<cib/>",
        b"<pacemaker-result/>",
        b'<!DOCTYPE cib [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><cib><configuration>&b;</configuration></cib>',
        b"\xff\xfe<cib>",
    ],
)
def test_what_is_no_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(StepError, match="can't be read"):
        to_two(text)


@dataclass
class World:
    """Two balancers' Pacemaker: ``cib`` lives, ``meanwhile`` is what else happens to it before a change arrives."""

    cib: bytes
    dead: tuple[str, ...] = ()
    quorate: bool = True
    meanwhile: list[Callable[[bytes], bytes]] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def run(
        self, machine: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        if machine in self.dead:
            raise Unreachable("no answer", where=machine)
        self.asked.append((machine, *argv))
        if argv[0] == "crm_mon":
            return Completed(0, said.monitor(quorate=self.quorate).encode(), b"")
        if argv[0] == "cibadmin":
            return Completed(0, self.cib, b"")
        if argv[0] == "sh":
            return self._patch(stdin[: int(argv[-1])], stdin[int(argv[-1]) :])
        if argv[0] == "crm_node":
            name = argv[-1].removeprefix("--remove=")
            self.cib = self.cib.replace(f'<node id="2" uname="{name}"/>'.encode(), b"")
            self.cib = self.cib.replace(f'<node id="2" uname="{name}" />'.encode(), b"")
        return Completed(0, b"", b"")

    def _patch(self, found: bytes, target: bytes) -> Completed:
        if self.meanwhile:
            self.cib = self.meanwhile.pop()(self.cib)
        if found != self.cib:
            return Completed(1, b"", b"Application of an update diff failed")
        self.cib = target
        return Completed(0, b"", b"")


def one_on(text: bytes) -> bytes:
    return text.replace(b'num_updates="0"', b'num_updates="1"')


def carry_out(world: World, balancers: int = 2) -> bool:
    (step,) = steps(topology(balancers=balancers))

    async def act() -> bool:
        if not await step.probe(world):
            await step.act(world)
        return await step.probe(world)

    return asyncio.run(act())


def test_a_configuration_that_holds_is_not_touched() -> None:
    world = World(alive(crm_config=PACEMAKERS_OWN))
    assert carry_out(world)
    assert {argv[1] for argv in world.asked} == {"crm_mon", "cibadmin"}


def test_any_balancer_that_is_up_will_do() -> None:
    world = World(changed('value="150ms"', 'value="0s"'), dead=("lb1",))
    assert carry_out(world)
    assert {argv[0] for argv in world.asked} == {"lb2"}
    assert ("lb2", "crm_resource", "--wait", "--timeout=90s") in world.asked


def test_what_happens_meanwhile_is_not_lost() -> None:
    world = World(changed('value="150ms"', 'value="0s"'), meanwhile=[one_on])
    assert carry_out(world)
    assert sum(argv[1] == "sh" for argv in world.asked) == 2


def test_a_change_that_is_never_taken_says_why() -> None:
    world = World(changed('value="150ms"', 'value="0s"'), meanwhile=[lambda text: text + b" "] * 9)
    with pytest.raises(StepError, match="did not take") as caught:
        carry_out(world)
    assert "Application of an update diff failed" in caught.value.detail


def test_a_balancer_that_went_is_forgotten() -> None:
    world = World(cib(topology()), dead=("lb2",))
    assert carry_out(world, balancers=1)
    assert ("lb1", "crm_node", "--force", "--remove=lb2") in world.asked
    assert b"lb2" not in world.cib


def test_without_a_majority_nothing_is_believed() -> None:
    (step,) = steps(topology())
    world = World(cib(topology()), quorate=False)
    assert "no balancer's Pacemaker answers with a majority" in asyncio.run(told(step, world))


async def told(step: Step, world: World) -> str:
    assert step.instead is not None
    said_so, _ = await step.instead(world)
    return said_so


def test_what_a_change_interrupts_is_said() -> None:
    seen = compare(
        changed('provider="groundplane" type="floating', 'provider="heartbeat" type="x-floating'), cib(topology())
    )
    assert words(seen).endswith("; changing it restarts floating-address")
    cold = compare(cib(topology()), cib(topology(balancers=1, standby=Standby.COLD)))
    assert " and 5 more" in words(cold)
