"""``apply`` and ``replace``, whole: in which order machines come, change and go, and what is remembered then."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import StringIO
from math import inf
from pathlib import Path
from typing import Any

import pytest
from tests.unit.recipes.world import SMALL, World

from groundplane import recipes
from groundplane.cli.change import drift_lines
from groundplane.cli.output import Channel
from groundplane.components.base import Component
from groundplane.design import Design
from groundplane.errors import ApplyError, FileChanged, MachineError, UsageError
from groundplane.machines.base import Material, Power
from groundplane.recipes import common
from groundplane.rollout.apply import Applied
from groundplane.rollout.plan import Resize
from groundplane.spec import InvalidCluster
from groundplane.spec.addressing import roster
from groundplane.state.change import Kind
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Machine, Topology
from groundplane.topology.pki import LEAF_LIFE
from groundplane.topology.secrets_json import secrets_from_json
from groundplane.verify.check import Check
from groundplane.verify.condition import NotYet
from groundplane.verify.report import Report

EXAMPLES = Path(__file__).parents[3] / "examples"
SINGLE = "balancers: {accept-single-point-of-failure: true}\n"
DOES = ("ensure", "apply", "remove", "stop", "found", "add", "dismiss", "destroy")


def file(balancers: int = 2, control_planes: int = 3, workers: int = 1, more: str = "") -> str:
    counts = f"{{balancer: {balancers}, control-plane: {control_planes}, worker: {workers}}}"
    return f"name: lab\n{SINGLE}machines: {counts}\n{more}"


def listed(*names: str, **more: str) -> str:
    """A file that lists machines; what they are called by says their role. ``more`` of a machine by its name."""
    roles = {"gateway": "gateway", "lb": "balancer", "cp": "control-plane", "worker": "worker"}
    entries = [f"{{name: {name}, role: {roles[name.rstrip('0123456789')]}{more.get(name, '')}}}" for name in names]
    return f"name: lab\nmachines: [{', '.join(entries)}]\n"


def uplink(nameservers: str) -> str:
    return file(
        more=f"network: {{uplink: {{address: 192.0.2.2/24, router: 192.0.2.1, nameservers: [{nameservers}]}}}}\n"
    )


EDITS = {
    "the first control plane goes and another comes": (
        listed("gateway", "lb1", "lb2", "cp1", "cp2", "cp3", "worker1"),
        listed("gateway", "lb1", "lb2", "cp2", "cp3", "cp4", "worker1"),
        [["add cp4", "dismiss cp1", "remove cp1"]],
    ),
    "a control plane has another name, card and address": (
        file(),
        listed(
            "gateway", "lb1", "lb2", "cp1", "cp2", "cp4", "worker1", cp4=", mac: 02:00:00:00:00:07, address: 10.80.0.99"
        ),
        [["add cp4", "dismiss cp3", "remove cp3"]],
    ),
    "the first balancer goes": (
        listed("gateway", "lb1", "lb2", "lb3", "cp1", "worker1"),
        listed("gateway", "lb2", "lb3", "cp1", "worker1"),
        [["remove lb1", "apply lb2"], ["remove lb1", "apply lb3"]],
    ),
    "the first worker goes": (
        listed("gateway", "lb1", "lb2", "cp1", "worker1", "worker2"),
        listed("gateway", "lb1", "lb2", "cp1", "worker2"),
        [["dismiss worker1", "remove worker1"]],
    ),
    "a worker more": (file(), file(workers=2), [["apply gateway", "ensure worker2", "wait worker2", "add worker2"]]),
    "a worker fewer": (file(workers=2), file(), [["apply gateway", "dismiss worker2", "remove worker2"]]),
    "three control planes": (
        file(control_planes=1),
        file(),
        [["apply gateway", "ensure cp2", "add cp2", "add cp3"]],
    ),
    "one control plane": (
        file(),
        file(control_planes=1),
        [["apply lb1", "apply lb2", "dismiss cp2", "remove cp2", "dismiss cp3", "remove cp3"]],
    ),
    "a balancer more": (file(balancers=1), file(), [["apply gateway", "apply lb1", "ensure lb2"]]),
    "a balancer fewer": (file(), file(balancers=1), [["remove lb2", "apply lb1"]]),
    "other addresses for strangers": (
        file(),
        file(more="network: {dhcp-pool: {first: 10.80.0.200, last: 10.80.0.210}}\n"),
        [["apply gateway"]],
    ),
    "other name servers": (uplink("192.0.2.53"), uplink("192.0.2.54, 192.0.2.55"), [["apply gateway"]]),
    "another size": (file(), file(more="sizes: {worker: {memory: 4GiB}}\n"), [["ensure worker1"]]),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_platform_becomes_what_its_file_says(world: World, name: str) -> None:
    before, after, orders = EDITS[name]
    world.write(before)
    world.up()
    world.write(after)
    assert not world.plan().empty
    applied = world.apply()
    assert isinstance(applied, Applied)
    assert applied.report
    assert applied.report.ok
    for order in orders:
        assert [entry for entry in world.ground.journal if entry in order] == order
    wanted = world.store.remembered_spec()
    assert wanted == recipes.validate(world.options.file)
    assert wanted is not None
    assert sorted(world.ground.machines) == sorted(entry.name for entry in roster(wanted))
    assert world.store.intended_spec() is None
    assert world.store.verified()
    assert world.plan().empty
    assert not world.wrong


@pytest.mark.parametrize(
    ("name", "asked"), [("other addresses for strangers", 0), ("other name servers", 0), ("a worker more", 1)]
)
def test_the_bundle_is_got_only_for_who_is_made_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, asked: int
) -> None:
    before, after, _ = EDITS[name]
    world.write(before)
    world.up()
    world.write(after)
    real, got = common.gathered, list[object]()

    async def gathered(design: Design, *others: Any) -> Material:
        got.append(design)
        return await real(design, *others)

    monkeypatch.setattr(common, "gathered", gathered)
    world.apply()
    assert len(got) == asked
    assert len(world.did("apply gateway")) == 1


def test_nor_for_what_somebody_changed_by_hand(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "gathered", None)  # it must not even be asked for
    lb1 = built.ground.machines["lb1"]
    lb1.held = {at: had for at, had in lb1.held.items() if at[1] != "/etc/proxy"}
    built.apply()
    assert built.did(*DOES[1:]) == ["apply lb1"]


def test_a_balancer_gets_another_name_by_two_applies(world: World) -> None:
    rest = ("cp1", "worker1")
    world.write(listed("gateway", "lb1", "lb2", *rest))
    world.up()
    world.write(listed("gateway", "lb3", "lb2", *rest))
    with pytest.raises(ApplyError, match="more than one balancer would come or go: lb3, lb1"):
        world.plan()
    for names in (("lb1", "lb2", "lb3"), ("lb2", "lb3")):
        world.write(listed("gateway", *names, *rest))
        world.apply()
    assert world.plan().empty
    assert not world.wrong


@pytest.mark.parametrize("stated", ["address: 10.80.0.51", "mac: '02:00:00:00:00:51', address: 10.80.0.60"])
def test_who_comes_has_no_place_of_one_who_leaves_alive(world: World, stated: str) -> None:
    """Both would be up: what comes, comes before what lives has gone."""
    mac = "mac: '02:00:00:00:00:51', address: 10.80.0.51"
    before = listed("gateway", "lb1", "lb2", "cp1", "worker1", worker1=f", {mac}")
    world.write(before)
    world.up()
    world.write(listed("gateway", "lb1", "lb2", "cp1", "worker2", worker2=f", {stated}"))
    for act in (world.plan, world.apply):
        with pytest.raises(
            ApplyError, match="worker2 would be made while worker1, which leaves, still has its card or address"
        ):
            act()
    world.ground.machines["worker1"].power = Power.OFF  # then it leaves first
    world.apply()
    assert world.plan().empty


@pytest.mark.parametrize("name", ["cp1", "cp2", "cp3"])
def test_balancers_beside_a_gateway_that_is_one_stay(world: World, name: str) -> None:
    """Whatever else the file may become: with two or four balancers it isn't valid, and two can't change at once."""
    text = (EXAMPLES / "three.yaml").read_text().replace("name: three", "name: lab").replace("server", "cp")
    world.write(text)
    world.up()
    world.write(text.replace(f"name: {name}", "name: cp4").replace(f"10.83.0.{name[-1]}\n", "10.83.0.9\n"))
    with pytest.raises(FileChanged if name == "cp1" else ApplyError):
        world.plan()
    for balancers in ("", "balancer, "):
        entry = f"  - name: more\n    roles: [{balancers}worker]\n"
        world.write((text if balancers else text.replace("[balancer, ", "[", 1)) + entry)
        with pytest.raises(InvalidCluster, match="balancers"):
            world.plan()


def test_a_machine_that_is_about_to_leave_is_switched_off_and_entered_as_well(world: World) -> None:
    world.write(file(workers=2))
    world.up()
    world.write(file())
    world.store.intend(recipes.validate(world.options.file))  # as an apply that was cut short leaves it
    world.ground.journal.clear()
    world.run(recipes.power(world.options, False, ["worker2"]))
    assert world.did(*DOES) == ["stop worker2"]
    assert recipes.ssh(world.options, "worker2", ["member", "me"]) == 0
    with pytest.raises(UsageError, match="there is no machine worker3"):
        recipes.ssh(world.options, "worker3", ["hostname"])
    world.run(recipes.power(world.options, False))
    assert sorted(world.did(*DOES)) == [f"stop {name}" for name in sorted(world.ground.machines)]
    with pytest.raises(UsageError, match="there is no machine worker2"):
        world.run(recipes.power(world.options, True, ["worker2"]))


def test_another_size_is_brought_while_the_machine_runs(built: World) -> None:
    born = built.ground.machines["worker1"].born
    built.write(f"{SMALL}sizes: {{worker: {{memory: 4GiB}}}}\n")
    built.apply()
    assert built.ground.machines["worker1"].size[1] == 4 << 30
    assert built.ground.machines["worker1"].born == born
    assert not built.did("apply", "stop")


HAS: dict[str, tuple[tuple[float, float], str]] = {
    "less memory": ((2, 2 << 30), "2048 MiB of memory, not 3072"),
    "no limits": ((inf, inf), "all processors, not 2; all memory, not 3072 MiB"),
    "half a processor": ((0.5, 3 << 30), "0.5 processors, not 2"),
}


@pytest.mark.parametrize("name", HAS)
def test_a_size_that_somebody_changed_is_shown_and_given_anew(built: World, name: str) -> None:
    machine, (size, words) = built.ground.machines["worker1"], HAS[name]
    right, born = machine.size, machine.born
    machine.size = size
    plan = built.plan()
    assert (plan.sizes, plan.batches, plan.needs_material) == ((Resize("worker1", words),), (), False)
    built.apply()
    assert (machine.size, machine.born) == (right, born)
    assert not built.did("apply", "stop")
    assert built.plan().empty


def test_what_kernels_round_is_no_other_size(built: World) -> None:
    machine = built.ground.machines["worker1"]
    machine.size = (machine.size[0] - 5e-6, machine.size[1] - (1 << 16))
    assert built.plan().empty


def test_what_a_platform_cannot_become_touches_nothing(built: World) -> None:
    before = built.truth()
    built.write(f"{SMALL}network: {{lan: 10.99.0.0/24}}\n")
    for recipe in (recipes.plan(built.options), recipes.apply(built.options), recipes.up(built.options)):
        with pytest.raises(FileChanged):
            built.run(recipe)
        assert not built.ground.journal
    assert built.truth() == before


def test_a_plan_tells_newer_defaults(built: World) -> None:
    path = built.store.folder / "spec.json"
    document = json.loads(path.read_bytes())
    document["spec"]["balancers"]["standby"] = "cold"  # the default of the groundplane that built it
    path.write_text(json.dumps(document))
    (newer,) = built.plan().newer_defaults
    assert newer.startswith("balancers.standby: stays cold")


def test_up_removes_nothing_and_changes_no_platform(built: World) -> None:
    before = built.truth()
    built.write(file(workers=0))
    with pytest.raises(FileChanged, match="changed since"):
        built.up()
    assert built.truth() == before


def test_what_was_red_is_asked_again(built: World) -> None:
    built.red.add("proxy")
    built.write(file(workers=2))
    red = built.apply()
    assert isinstance(red, Applied)
    assert red.report
    assert red.report.fault == "proxy failed"
    found = built.plan()
    assert (found.unverified, found.empty, found.births, found.machines) == (True, False, (), ())
    built.red.clear()
    green = built.apply()
    assert isinstance(green, Applied)
    assert green.report
    assert green.report.ok
    assert not built.did("apply", "add", "remove")
    assert built.plan().empty


def test_whoever_watches_is_told_of_a_machine_that_is_missing_and_no_more(built: World) -> None:
    built.ground.machines.pop("cp2")
    found = built.run(recipes.drift(built.options))
    assert {step.name for step in found.steps} == {"join:cp2", "found"}
    told = drift_lines(found, Channel(StringIO(), terminal=False, colour=False))
    assert list(told.values()) == ["cp2: it isn't there"]


@pytest.mark.parametrize("how", ["well", "off", "mute", "gone"])
@pytest.mark.parametrize("name", ["gateway", "lb1", "cp1", "cp3", "worker1"])
def test_any_machine_is_made_anew(built: World, name: str, how: str) -> None:
    before, machine = built.truth(), built.ground.machines[name]
    if how == "off":
        machine.power = Power.OFF
    machine.mute = how == "mute"
    if how == "gone":
        del built.ground.machines[name]
    built.replace(name)
    assert built.did("remove") == ([] if how == "gone" else [f"remove {name}"])
    assert built.ground.machines[name].born > machine.born
    assert built.truth() == before
    assert built.store.verified()
    assert built.plan().empty
    assert not built.wrong


@pytest.mark.parametrize(("down", "name"), [("cp2", "cp1"), ("lb2", "lb1")])
def test_who_cannot_be_spared_is_not_touched(built: World, down: str, name: str) -> None:
    built.ground.machines[down].power = Power.OFF
    before = built.truth()
    with pytest.raises(ApplyError, match="can't be spared now"):
        built.replace(name)
    assert not built.did(*DOES)
    assert built.truth() == before


def test_who_is_off_is_named_before_a_replace_starts_it(world: World) -> None:
    world.write(file(workers=2))
    world.up()
    assert recipes.started_for(world.options, ("worker1",)) == ()
    for name in ("worker1", "worker2"):
        world.ground.machines[name].power = Power.OFF
    assert recipes.started_for(world.options, ("worker1",)) == ("worker2",)
    world.replace("worker1")
    assert world.ground.machines["worker2"].power is Power.RUNNING


def test_what_cannot_be_made_anew_is_told_by_who_looks_first(built: World) -> None:
    with pytest.raises(UsageError, match="no machine worker7"):
        recipes.started_for(built.options, ("worker1", "worker7"))
    built.write(file(workers=2))
    with pytest.raises(FileChanged):
        recipes.started_for(built.options, ("worker1",))
    built.write("name: other\n")
    with pytest.raises(MachineError, match="there is no platform other"):
        recipes.started_for(built.options, ("worker1",))


@pytest.mark.parametrize("left", [1, 3])
def test_nobody_leaves_while_another_that_lives_is_unwell(world: World, left: int) -> None:
    world.write(file(control_planes=5))
    world.up()
    world.write(file(control_planes=left))
    world.unwell = {"cp1"}
    before = world.truth()
    with pytest.raises(ApplyError, match="can't be spared now: others are well when cp"):
        world.apply()
    assert not world.ground.journal
    assert world.truth() == before
    world.unwell.clear()
    world.apply()
    assert world.plan().empty


def test_nor_is_anybody_made_anew_though_there_is_a_majority(world: World) -> None:
    world.write(file(control_planes=5))
    world.up()
    world.unwell = {"cp5"}
    before = world.truth()
    with pytest.raises(ApplyError, match="can't be spared now: others are well when cp1 goes"):
        world.replace("cp1")
    assert not world.did(*DOES)
    assert world.truth() == before
    world.replace("cp5")  # it takes nothing away


def test_who_is_off_leaves_before_the_others_are_asked(world: World) -> None:
    world.write(file(control_planes=5))
    world.up()
    world.ground.machines["cp4"].power = Power.OFF
    world.unwell = {"cp4"}
    world.write(file())
    world.apply()
    assert world.did("dismiss", "remove") == ["dismiss cp4", "remove cp4", "dismiss cp5", "remove cp5"]


@pytest.mark.parametrize("unwell", [("cp4",), ("cp5",), ("cp5", "cp4")])
def test_who_ails_leaves_before_who_is_well(world: World, unwell: tuple[str, ...]) -> None:
    world.write(file(control_planes=5))
    world.up()
    world.unwell = set(unwell)
    world.write(file())
    order = sorted(("cp4", "cp5"), key=lambda name: name not in unwell)
    world.apply()
    assert world.did("dismiss", "remove") == [f"{what} {name}" for name in order for what in ("dismiss", "remove")]
    assert world.plan().empty
    assert not world.wrong


def test_and_before_anybody_joins(world: World) -> None:
    """As etcd takes a member only while all others are well."""
    before = ("gateway", "lb1", "lb2", "cp1", "cp2")
    world.write(listed(*before, "cp3", "worker1"))
    world.up()
    world.unwell = {"cp3"}
    world.write(listed(*before, "cp4", "worker1"))
    world.apply()
    assert world.did("dismiss", "remove", "add") == ["dismiss cp3", "remove cp3", "add cp4"]


@pytest.mark.parametrize("mended", [True, False])
def test_who_stays_and_is_off_is_switched_on_and_then_asked(world: World, mended: bool) -> None:
    world.write(file(control_planes=5))
    world.up()
    world.ground.machines["cp2"].power = Power.OFF
    world.unwell = {"cp2"}
    world.write(file())
    real = world.ground.moment

    def moment(words: str) -> None:
        if mended and words == "ready cp2":
            world.unwell.clear()
        real(words)

    world.ground.moment = moment
    if mended:
        world.apply()
        assert world.did("dismiss", "remove") == ["dismiss cp4", "remove cp4", "dismiss cp5", "remove cp5"]
        return
    with pytest.raises(ExceptionGroup) as failed:
        world.apply()
    assert failed.group_contains(ApplyError, match="must not be worked on now: others are well when cp4 goes")
    assert not world.did("dismiss", "remove")


def test_nothing_but_its_start_comes_before_it_is_asked(world: World) -> None:
    """Neither is anybody told of machines that go or come, nor does one come."""
    world.write(listed("gateway", "lb1", "lb2", "cp1", "cp2", "cp3", "worker1"))
    world.up()
    world.ground.machines["cp2"].power = Power.OFF
    world.unwell = {"cp2"}
    world.write(listed("gateway", "lb1", "lb2", "cp1", "cp2", "cp4", "worker1", "worker2"))
    held = {name: dict(machine.held) for name, machine in world.ground.machines.items()}
    with pytest.raises(ExceptionGroup) as failed:
        world.apply()
    assert failed.group_contains(ApplyError, match="must not be worked on now: others are well when cp3 goes")
    assert world.standing("cp2")
    assert {name: machine.held for name, machine in world.ground.machines.items()} == held
    with pytest.raises(ApplyError, match="can't be spared now: others are well when cp3 goes"):
        world.apply()
    assert not world.ground.journal, "it is on now, and asked before anything else"
    world.unwell.clear()
    world.apply()
    assert world.plan().empty
    assert not world.wrong


def test_what_is_not_there_yet_is_not_waited_for(world: World) -> None:
    """As of a machine that was lost: what the others still count of it goes when it is made once more."""
    world.write(file(control_planes=5))
    world.up()
    del world.ground.machines["cp2"]
    world.unwell = {"cp2"}
    world.write(file())
    world.apply()
    assert world.did("add", "remove") == ["add cp2", "remove cp4", "remove cp5"]


def test_the_only_control_plane_is_never_made_anew(world: World) -> None:
    world.write(file(control_planes=1))
    world.up()
    with pytest.raises(UsageError, match="only control plane"):
        world.replace("cp1")
    assert not world.did(*DOES)


def test_certificates_that_near_their_end_are_made_anew_once(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan shows is what an apply brings, though certificates made twice are never the same."""
    old = built.remembered()["secrets.json"]
    monkeypatch.setattr("groundplane.topology.pki.LEAF_RESERVE", LEAF_LIFE - timedelta(days=1))
    built.plan()
    new = built.remembered()["secrets.json"]
    assert new != old
    before, after = secrets_from_json(old), secrets_from_json(new)
    assert after.registry != before.registry
    assert replace(after, registry=before.registry, qnetd=before.qnetd, qdevice=before.qdevice) == before
    built.apply()
    assert built.remembered()["secrets.json"] == new


def test_a_plan_beside_somebody_who_works_makes_none(built: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have read the old ones, or are laying others."""
    old = built.remembered()["secrets.json"]
    monkeypatch.setattr("groundplane.topology.pki.LEAF_RESERVE", LEAF_LIFE - timedelta(days=1))
    with built.store.lock("apply"):
        assert built.plan().empty
        assert recipes.started_for(built.options, ("worker1",)) == ()
    assert built.remembered()["secrets.json"] == old
    built.plan()
    assert built.remembered()["secrets.json"] != old


# -- names that are refused today ------------------------------------------------------------------------------------

BORNE = listed("gateway", "lb1", "lb2", "cp1", "worker1") + "network: {domain: test}\n"


@pytest.fixture
def older(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """One that was built by a groundplane that knew less of names."""
    text = BORNE.replace("name: worker1", "name: wpad")
    with monkeypatch.context() as then:
        then.setattr("groundplane.spec.rules.machines.NAMES_WITH_A_MEANING", ())
        then.setattr("groundplane.spec.rules.network.why_fixed", lambda _: None)
        world.write(text)
        world.up()
    world.write(f"# as ever\n{text}")
    return world


def test_a_platform_goes_on_with_names_it_was_built_with(older: World) -> None:
    with pytest.raises(InvalidCluster):
        recipes.validate(older.options.file)
    borne = recipes.wanted(older.options).borne
    assert borne
    assert [problem.path for problem in borne.problems] == ["machines[4].name", "network.domain"]
    named = recipes.named(older.options)
    assert (named.name, named.fault, named.borne and named.borne.problems) == ("lab", None, borne.problems)
    assert older.plan().empty
    lb1 = older.ground.machines["lb1"]
    lb1.held = {at: had for at, had in lb1.held.items() if at[1] != "/etc/proxy"}
    older.apply()
    assert older.did(*DOES[1:]) == ["apply lb1"]
    older.replace("wpad")
    assert older.did("remove", "add") == ["remove wpad", "add wpad"]
    assert recipes.render(older.options, older.folder / "rendered")
    assert older.run(recipes.verify(older.options)).ok
    report = older.up()
    assert isinstance(report, Report)
    assert not report.changed


def test_but_takes_no_more_of_them(older: World) -> None:
    text = older.options.file.read_text()
    older.write(text.replace("machines: [", "machines: [{name: isatap, role: worker}, "))
    for act in (older.plan, older.apply, older.up):
        with pytest.raises(InvalidCluster) as caught:
            act()
        assert [problem.path for problem in caught.value.problems] == ["machines[0].name"]
    older.write(text.replace("name: wpad", "name: worker1, address: 10.80.0.99, mac: 02:00:00:00:00:99"))
    older.apply()
    older.write(text)  # it is a name of none any more
    with pytest.raises(InvalidCluster):
        older.plan()


def test_nor_does_another_platform(older: World) -> None:
    older.write(older.options.file.read_text().replace("name: lab", "name: other"))
    for act in (older.plan, older.up):
        with pytest.raises(InvalidCluster) as caught:
            act()
        assert len(caught.value.problems) == 2


# -- Steps that interrupt what their machine serves ----------------------------------------------------------------


@pytest.fixture
def settings(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What each control plane runs with, "new" once its Step was carried out."""
    runs: dict[str, str] = {}

    def steps(topology: Topology) -> tuple[Step, ...]:
        async def holds(name: str, _: Reach) -> bool:
            return runs.get(name, "new") == "new"

        async def bring(name: str, _: Reach) -> None:
            runs[name] = "new"

        async def differs(name: str, _: Reach) -> str:
            return f"-{runs[name]}\n+new"

        return tuple(
            Step(
                f"runs:{cp.name}",
                cp.name,
                "it runs with today's settings",
                partial(holds, cp.name),
                partial(bring, cp.name),
                (f"join:{cp.name}",),
                (cp.name,),
                diff=partial(differs, cp.name),
                disturbs=True,
            )
            for cp in topology.control_planes
        )

    def spare(_: Topology, machine: Machine) -> Check:
        async def probe(_: Reach) -> str:
            if "unwell" in runs:
                raise NotYet(f"{runs['unwell']} is not well")
            return "well"

        return Check("spare-settings", f"others do what {machine.name} does", 5, "mend them", probe)

    component = Component("settings", lambda *_: None, steps=steps, spare=spare)
    monkeypatch.setattr("groundplane.design.COMPONENTS", (*world.components(), component))
    return runs


def test_a_step_that_disturbs_is_shown_as_a_diff_and_brought_about(settings: dict[str, str], built: World) -> None:
    settings["cp2"] = "old"
    (step,) = built.plan().steps
    assert (step.name, step.diff) == ("runs:cp2", "-old\n+new")
    built.apply()
    assert settings == {"cp2": "new"}
    assert built.plan().empty


def test_it_is_not_carried_out_while_the_others_cannot_carry_on(settings: dict[str, str], built: World) -> None:
    settings["cp1"] = "old"
    settings["unwell"] = "cp2"
    with pytest.raises(ExceptionGroup) as failed:
        built.apply()
    assert failed.group_contains(ApplyError, match="must not be worked on now: others do what cp1 does")
    assert settings["cp1"] == "old"


def test_nobody_is_spared_where_it_has_come_to_hold_by_itself(settings: dict[str, str], world: World) -> None:
    """As on machines that are made now: kubeadm begins with today's, and the others aren't a cluster yet."""
    settings["unwell"] = "cp2"
    report = world.up()
    assert isinstance(report, Report)
    assert report.ok


def test_a_control_plane_that_comes_disturbs_nobody(settings: dict[str, str], built: World) -> None:
    built.write(file(control_planes=5))
    assert {step.name for step in built.plan().steps} >= {"runs:cp4", "runs:cp5"}
    built.apply()
    assert built.plan().empty


def test_what_it_leaves_unwell_is_told(settings: dict[str, str], built: World) -> None:
    """All checks are asked, those of machines that it doesn't touch too: a balancer sees what it does to others."""
    settings["cp1"] = "old"
    built.spoilt.add("proxy")
    with pytest.raises(ExceptionGroup) as failed:
        built.apply()
    assert failed.group_contains(ApplyError, match="is not well after its changes: proxy are well")


@pytest.mark.parametrize("machines", [("lb1",), ("lb1", "lb2")])
def test_what_others_wait_for_is_judged_at_once_and_the_last_by_the_verify_that_follows(
    machines: tuple[str, ...], built: World
) -> None:
    lose_files(built, *machines)
    if len(machines) == 1:
        built.red.add("proxy")
        applied = built.apply()
        assert isinstance(applied, Applied)
        assert applied.report
        assert applied.report.fault == "proxy failed"
    else:
        built.spoilt.add("proxy")
        with pytest.raises(ExceptionGroup) as failed:
            built.apply()
        assert failed.group_contains(ApplyError, match="is not well after its changes: proxy are well")
    assert len(built.did("apply")) == 1
    assert built.plan().unverified or built.plan().machines


def test_what_was_broken_before_keeps_no_change_from_mending_it(built: World) -> None:
    lose_files(built, "lb1", "lb2")
    built.red.add("proxy")
    applied = built.apply()
    assert isinstance(applied, Applied)
    assert applied.report
    assert applied.report.fault == "proxy failed", "it is told all the same, in the end"
    assert [entry.split()[1] for entry in built.did("apply")] == ["lb1", "lb2"]


def test_what_no_change_touches_is_asked_by_the_verify_alone(built: World) -> None:
    lose_files(built, "lb1", "lb2")
    built.spoilt.add("members")  # holds the first time it is asked
    applied = built.apply()
    assert isinstance(applied, Applied)
    assert applied.report
    assert applied.report.ok
    assert "members" in built.red


def lose_files(world: World, *names: str) -> None:
    """The machines called ``names`` have none of their files any more."""
    for name in names:
        machine = world.ground.machines[name]
        machine.held = {at: had for at, had in machine.held.items() if at[0] is not Kind.FILE}
