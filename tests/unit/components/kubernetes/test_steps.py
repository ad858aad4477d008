"""What the cluster's steps do from every state an interruption may leave."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from groundplane.components.cluster import paths
from groundplane.components.cluster.names import control_plane_name, etcd_name
from groundplane.components.kubeadm import etcd_leaves, facts
from groundplane.components.kubeadm.founding import REVIVAL_DEADLINE
from groundplane.components.kubeadm.steps import steps
from groundplane.components.renewal.steps import steps as renewal
from groundplane.errors import ConditionTimeout, StepError
from groundplane.state.step import Completed, Step
from groundplane.topology.model import Topology
from groundplane.transport.fake import FakeTransport

from .world import TOKEN, World

Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture
def world(topology: Topology) -> World:
    return World(topology)


@pytest.fixture
def standing(world: World) -> World:
    """A cluster of cp1 and cp2; the others are untouched."""
    world.founded = True
    world.make_control_plane("cp1")
    world.make_control_plane("cp2")
    return world


def step(world: World, name: str) -> Step:
    return next(found for found in steps(world.topology) if found.name == name)


async def do(world: World, name: str) -> bool:
    """Probe, act if it doesn't hold, probe again: as the rollout does. Returns whether it acted."""
    found = step(world, name)
    if await found.probe(world):
        return False
    await found.act(world)
    assert await found.probe(world)
    return True


# -- the graph -----------------------------------------------------------------------------------------------------


def test_members_of_etcd_queue_and_nodes_do_not(topology: Topology) -> None:
    needs = {found.name: found.needs for found in steps(topology)}
    assert needs["kubeadm-join:cp3"] == ("kubeadm-init", "prepare:cp3")
    assert needs["etcd-join:cp1"] == ("kubeadm-join:cp1", "kubeadm-init")
    assert needs["etcd-join:cp2"] == ("kubeadm-join:cp2", "etcd-join:cp1")
    assert needs["etcd-join:cp3"] == ("kubeadm-join:cp3", "etcd-join:cp2")
    assert needs["control-plane:cp3"] == ("etcd-join:cp3",)
    assert needs["kubeadm-join:worker1"] == needs["kubeadm-join:worker2"] == ("kubeadm-init",)
    assert needs["kubelet-serving:worker1"] == ("kubeadm-join:worker1",)


def test_tokens_are_swept_after_all_joins_and_coredns_moves_after_one(topology: Topology) -> None:
    needs = {found.name: found.needs for found in steps(topology)}
    assert needs["join-tokens"] == tuple(f"kubeadm-join:{machine.name}" for machine in topology.nodes)
    assert needs["coredns-spread"] == ("kubeadm-join:worker1",)
    alone = replace(topology, machines=tuple(one for one in topology.machines if one not in topology.workers))
    assert {found.name: found.needs for found in steps(alone)}["coredns-spread"] == ("kubeadm-join:cp3",)


def test_static_pods_change_one_control_plane_at_a_time_and_are_proven_before_they_are_kept(topology: Topology) -> None:
    found = {step.name: step for step in steps(topology)}
    assert found["static-pods:cp1"].needs == (control_plane_name(topology.machine("cp1")), "kubeadm-init")
    assert found["static-pods:cp2"].needs == (control_plane_name(topology.machine("cp2")), "static-pods:cp1")
    assert found["cluster-settings"].needs == ("static-pods:cp1", "static-pods:cp2", "static-pods:cp3")
    assert {name for name, step in found.items() if step.disturbs} == {f"static-pods:cp{n}" for n in (1, 2, 3)}


def test_what_etcd_reads_is_laid_after_what_was_cleared_and_before_kubeadm_comes(
    topology: Topology, standing: World, run: Run
) -> None:
    standing.has["cp3"] |= {"traces", "manifests"}
    run(do(standing, "kubeadm-join:cp3"))
    run(do(standing, etcd_name(topology.machine("cp3"))))
    calls = [argv for machine, argv in standing.calls if machine == "cp3"]
    laid = next(place for place, argv in enumerate(calls) if argv[0] == "sh" and argv[2] == etcd_leaves._SCRIPT)
    cleared = next(place for place, argv in enumerate(calls) if argv[:2] == ("kubeadm", "reset"))
    joined = next(place for place, argv in enumerate(calls) if argv[0] == "systemd-run" and "join" in argv)
    assert cleared < laid < joined


def test_every_fact_is_looked_for() -> None:
    script = facts._SCRIPT
    assert all(f"echo {name}" in script or f'"{name}"' in script for name in facts.Facts.__dataclass_fields__)


def test_every_needed_step_exists(topology: Topology) -> None:
    found = steps(topology)
    others = {one.name for one in renewal(topology)}
    assert {need for one in found for need in one.needs} <= {one.name for one in found} | others


def test_a_control_plane_is_prepared_while_the_cluster_begins(world: World, run: Run) -> None:
    assert run(do(world, "prepare:cp2"))
    assert not run(do(world, "prepare:cp2"))
    assert step(world, "prepare:cp2").needs == ("certificates:cp2",)
    assert step(world, "prepare:cp2").needs_machines == ("gateway", "cp2")
    assert not [argv for _, argv in world.calls if argv[0] == "kubectl"]
    (unit,) = world.commands("systemd-run")
    assert f"--unit={paths.PREPARING}" in unit[1]  # the cluster's beginning waits for every other kubeadm


def test_the_first_control_plane_is_prepared_only_for_a_cluster_that_stands(topology: Topology) -> None:
    """It would be in the way of the beginning, which makes the same."""
    assert {found.name: found.needs for found in steps(topology)}["prepare:cp1"] == (
        "certificates:cp1",
        "kubeadm-init",
    )


@pytest.mark.parametrize("begun", ["traces", "etcd", "manifests", "kubelet", "bootstrap"])
def test_what_was_begun_is_left_to_the_join(world: World, run: Run, begun: str) -> None:
    world.has["cp2"].add(begun)
    assert not run(do(world, "prepare:cp2"))


# -- init ----------------------------------------------------------------------------------------------------------


def test_init_begins_on_the_first(world: World, run: Run) -> None:
    assert run(do(world, "kubeadm-init"))
    assert world.kubeadm_runs == [("cp1", ("init", f"--config={paths.INIT}", "--skip-token-print"))]
    assert world.tokens == {}
    assert ("cp1", ("rm", "-f", paths.SUPER_ADMIN)) in world.calls


class _Endless:
    """The machines of a world where kubectl finds nobody and tries on for ever."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ended = 0

    async def run(self, machine: str, argv: Sequence[str], **more: Any) -> Completed:
        if argv[0] == "kubectl":
            try:
                await asyncio.sleep(3600)
            finally:
                self.ended += 1
        return await self._world.run(machine, argv, **more)


def test_where_nobody_has_data_no_cluster_is_waited_for(world: World, run: Run) -> None:
    """Prepared for their joins, the others have all that kubectl takes, and it is patient."""
    for name in ("cp2", "cp3"):
        world.has[name] |= {"identity", "admin", "prepared"}
    reach = _Endless(world)
    assert not run(step(world, "kubeadm-init").probe(reach))
    assert reach.ended == 1


def test_who_cannot_be_asked_for_data_may_have_it(world: World, run: Run) -> None:
    world.down.add("cp3")
    reach = _Endless(world)

    async def asked() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(step(world, "kubeadm-init").probe(reach), 0.1)

    run(asked())


def test_init_does_nothing_twice(standing: World, run: Run) -> None:
    assert not run(do(standing, "kubeadm-init"))
    assert standing.kubeadm_runs == []


def test_init_holds_while_one_control_plane_is_dead(standing: World, run: Run) -> None:
    standing.down.add("cp1")
    assert not run(do(standing, "kubeadm-init"))


def test_init_goes_on_where_the_data_is(world: World, run: Run) -> None:
    """Killed halfway on cp2: there it goes on, with its data, not on cp1."""
    world.has["cp2"] |= {"manifests", "etcd", "kubelet"}
    assert run(do(world, "kubeadm-init"))
    ((machine, arguments),) = world.kubeadm_runs
    assert machine == "cp2"
    assert "DirAvailable--var-lib-etcd" in arguments[-1]
    assert not world.commands("kubeadm reset")
    assert not world.commands(f"{paths.ETCD_DATA}/*")


def test_init_waits_for_a_cluster_that_starts_again(world: World, run: Run) -> None:
    """One control plane after a power cycle: its API server needs a while, and nothing is made anew."""
    world.make_control_plane("cp1")
    world.founded = True
    world.has["cp1"].discard("api")
    asked = 0
    answer = world._kubectl

    def kubectl(machine: str, argv: tuple[str, ...]) -> tuple[int, str]:
        nonlocal asked
        asked += 1
        if asked == 20:
            world.has["cp1"].add("api")
        return answer(machine, argv)

    world._kubectl = kubectl  # type: ignore[method-assign]
    assert run(do(world, "kubeadm-init"))
    assert world.kubeadm_runs == []
    assert not world.commands("systemctl stop kubelet")


def test_init_goes_on_when_the_cluster_does_not_start_again(world: World, run: Run) -> None:
    world.make_control_plane("cp1")
    world.has["cp1"].discard("api")
    assert run(do(world, "kubeadm-init"))
    assert [arguments[0] for _, arguments in world.kubeadm_runs] == ["init"]


@pytest.mark.parametrize("unbegun", [False, True])
def test_init_does_not_wait_for_an_etcd_that_never_began(world: World, run: Run, unbegun: bool) -> None:
    world.make_control_plane("cp1")
    world.has["cp1"].discard("api")
    world.unbegun |= {"cp1"} if unbegun else set()

    async def seconds() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        assert await do(world, "kubeadm-init")
        return clock() - began

    assert (run(seconds()) < REVIVAL_DEADLINE) == unbegun
    assert [arguments[0] for _, arguments in world.kubeadm_runs] == ["init"]


def test_init_removes_what_an_earlier_one_left(world: World, run: Run) -> None:
    world.has["cp1"].add("traces")
    assert run(do(world, "kubeadm-init"))
    assert world.commands("systemctl stop kubelet")


def test_init_never_begins_anew_beside_data_on_several(standing: World, run: Run) -> None:
    standing.quorum = False
    with pytest.raises(ConditionTimeout):
        run(do(standing, "kubeadm-init"))
    assert standing.kubeadm_runs == []


def test_init_puts_back_what_is_missing_of_a_standing_cluster(standing: World, run: Run) -> None:
    standing.founded = False
    assert run(do(standing, "kubeadm-init"))
    assert [arguments[:2] for _, arguments in standing.kubeadm_runs] == [("init", "phase")] * 3


def test_init_refuses_to_guess_about_a_silent_control_plane(world: World, run: Run) -> None:
    world.down.add("cp3")
    with pytest.raises(StepError, match="can't be told") as caught:
        run(do(world, "kubeadm-init"))
    assert caught.value.where == "cp3"
    assert world.kubeadm_runs == []


def test_a_failed_init_shows_kubeadms_words_without_its_token(world: World, run: Run) -> None:
    world.fails.add("init")
    with pytest.raises(StepError) as caught:
        run(do(world, "kubeadm-init"))
    assert caught.value.detail == "something went wrong with ***"
    world.fails.clear()
    assert run(do(world, "kubeadm-init"))


# -- joining a control plane ---------------------------------------------------------------------------------------


PARTS = ("prepare", "kubeadm-join", "etcd-join", "control-plane")


async def join(world: World, name: str, *, ahead: bool = True) -> bool:
    """All the steps of a control plane's join; returns whether any acted."""
    return any([await do(world, f"{part}:{name}") for part in PARTS if ahead or part != "prepare"])


def joined(world: World, name: str) -> bool:
    return (
        [member["name"] for member in world.members].count(name) == 1
        and {"identity", "admin", "manifests", "etcd", "kubelet", "api"} <= world.has[name]
        and world.has[name].isdisjoint({"embedded", "bootstrap"})
        and paths.CONTROL_PLANE_LABEL in world.nodes[name]
        and str(world.topology.machine(name).address) in world.servers[name]
    )


def test_a_fresh_control_plane_joins(standing: World, run: Run) -> None:
    assert run(join(standing, "cp3"))
    assert joined(standing, "cp3")
    assert [words[:3] for _, words in standing.kubeadm_runs] == [
        ("init", f"--config={paths.INIT}", standing.kubeadm_runs[0][1][2]),
        ("init", "phase", "kubelet-start"),
        ("join", f"--config={paths.JOIN}", standing.kubeadm_runs[2][1][2]),
        ("init", "phase", "kubelet-finalize"),
    ]
    assert not standing.commands("kubeadm reset")
    assert not run(join(standing, "cp3"))


def test_one_that_nobody_prepared_joins_as_well(standing: World, run: Run) -> None:
    assert run(join(standing, "cp3", ahead=False))
    assert joined(standing, "cp3")


def test_a_control_plane_needs_no_token(standing: World, run: Run) -> None:
    """It holds the authority."""
    run(join(standing, "cp3"))
    assert not standing.commands("token", "create")
    assert standing.memory == {}


def test_nobody_goes_to_a_node_that_becomes_a_control_plane(standing: World, run: Run) -> None:
    run(do(standing, "prepare:cp3"))
    run(do(standing, "kubeadm-join:cp3"))
    assert standing.commands("taint", "nodes", "cp3", f"{paths.CONTROL_PLANE_LABEL}:NoSchedule")
    assert paths.CONTROL_PLANE_LABEL not in standing.nodes["cp3"]


class Killed(BaseException):
    """The process ends here."""


def kill_at(world: World, moment: int, *, done: bool) -> None:
    """Have the process end at its command number ``moment``, carried out (``done``) or not."""
    answer, numbers = world._answer, count(1)

    def killed(machine: str, argv: tuple[str, ...], stdin: bytes) -> tuple[int, str]:
        last = next(numbers) == moment
        if last and not done:
            raise Killed
        found = answer(machine, argv, stdin)
        if last:
            raise Killed
        return found

    world._answer = killed  # type: ignore[method-assign]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_join_that_was_killed_anywhere_is_finished(topology: Topology, run: Run, done: bool) -> None:
    """Killed before any command of it, or right after: what was on its way then comes to its end on the machine."""
    moment = 0
    while True:
        moment += 1
        world = World(topology, founded=True)
        world.make_control_plane("cp1")
        world.make_control_plane("cp2")
        kill_at(world, moment, done=done)
        try:
            run(join(world, "cp3"))
            break
        except Killed:
            del world._answer
        voted = any(member["name"] == "cp3" for member in world.members)
        begun = len(world.calls)
        run(join(world, "cp3"))
        assert joined(world, "cp3"), f"killed at {moment}"
        assert not run(join(world, "cp3"))
        if voted:
            taken = [argv for _, argv in world.calls[begun:] if "reset" in argv or f"{paths.ETCD_DATA}/*" in str(argv)]
            assert not taken, f"killed at {moment}: it votes, and was cleared"
    assert moment > 30


def test_the_token_reaches_the_joining_machine_by_stdin_alone(standing: World, run: Run) -> None:
    run(do(standing, "kubeadm-join:worker1"))
    assert TOKEN.encode() in standing.seen_in_join[0]
    assert not [argv for _, argv in standing.calls if TOKEN.partition(".")[2] in " ".join(argv)]
    assert standing.memory == {}
    assert standing.tokens == {}


def test_a_failed_join_leaves_no_credentials(standing: World, run: Run) -> None:
    standing.fails.add("join")
    with pytest.raises(StepError) as caught:
        run(do(standing, "kubeadm-join:worker1"))
    assert TOKEN not in f"{caught.value} {caught.value.detail} {caught.value.hint}"
    assert standing.memory == {}
    assert standing.tokens == {}
    standing.fails.clear()
    assert run(do(standing, "kubeadm-join:worker1"))


def test_a_control_planes_failed_turn_is_begun_anew(standing: World, run: Run) -> None:
    standing.fails.add("join")
    with pytest.raises(StepError):
        run(join(standing, "cp3"))
    standing.fails.clear()
    assert run(join(standing, "cp3"))
    assert joined(standing, "cp3")


def test_a_killed_runs_token_goes_with_the_next_join(standing: World, run: Run) -> None:
    standing.tokens = {
        "bootstrap-token-zzzzzz": "groundplane join of worker1",
        "bootstrap-token-theirs": "a user's own",
    }
    run(do(standing, "kubeadm-join:worker1"))
    assert standing.tokens == {"bootstrap-token-theirs": "a user's own"}


def test_a_cancelled_join_keeps_what_kubeadm_still_needs(standing: World, run: Run) -> None:
    """kubeadm goes on by itself: its unit removes the file, the step join-tokens the token."""

    def cancelled(machine: str, arguments: tuple[str, ...]) -> tuple[int, str]:
        raise asyncio.CancelledError

    joins, standing._kubeadm = standing._kubeadm, cancelled  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        run(do(standing, "kubeadm-join:worker1"))
    assert list(standing.tokens.values()) == ["groundplane join of worker1"]
    assert "worker1" in standing.memory
    standing._kubeadm = joins  # type: ignore[method-assign]
    assert run(do(standing, "join-tokens"))
    assert standing.tokens == {}


def test_only_our_tokens_are_swept(standing: World, run: Run) -> None:
    standing.tokens = {"a": "groundplane join of cp9", "b": "groundplane", "c": "groundplaner's own", "d": "another's"}
    assert run(do(standing, "join-tokens"))
    assert sorted(standing.tokens) == ["c", "d"]
    assert not run(do(standing, "join-tokens"))


def test_a_learner_that_never_voted_is_removed_before_joining(standing: World, run: Run) -> None:
    standing.add_member("cp3", learner=True)
    standing.has["cp3"] |= {"manifests", "etcd", "kubelet", "admin"}
    assert run(join(standing, "cp3"))
    assert [member["name"] for member in standing.members] == ["cp1", "cp2", "cp3"]
    (reset,) = standing.commands("kubeadm reset")
    assert "--skip-phases=remove-etcd-member" in reset[1]
    assert f"--cert-dir={paths.RUN}/nothing" in reset[1]


def test_a_machine_made_anew_replaces_its_dead_member(standing: World, run: Run) -> None:
    """Its member still votes on paper, but its data went with the old machine."""
    standing.has["cp2"] = set()
    assert run(join(standing, "cp2"))
    assert [member["name"] for member in standing.members] == ["cp1", "cp2"]
    assert standing.commands("delete", "node", "cp2")


def test_data_of_a_machine_that_is_no_member_is_cleared(standing: World, run: Run) -> None:
    standing.has["cp3"] |= {"etcd", "manifests", "kubelet", "identity", "admin"}
    assert run(join(standing, "cp3"))
    assert standing.commands(f"{paths.ETCD_DATA}/*")


@pytest.mark.parametrize("missing", [{"identity"}, {"kubelet"}, {"api"}, {"kubelet", "api"}, {"admin", "identity"}])
def test_a_voting_member_is_finished_and_never_cleared(standing: World, run: Run, missing: set[str]) -> None:
    standing.has["cp2"] -= missing
    standing.has["cp2"].add("bootstrap")
    standing.nodes["cp2"] = set()
    if "api" in missing:
        with pytest.raises(ConditionTimeout):
            run(join(standing, "cp2"))
    else:
        assert run(join(standing, "cp2"))
        assert paths.CONTROL_PLANE_LABEL in standing.nodes["cp2"]
    assert not standing.commands("kubeadm reset")
    assert not standing.commands(f"{paths.ETCD_DATA}/*")
    assert not standing.commands("member", "remove")
    assert {"identity", "kubelet"} <= standing.has["cp2"]
    assert "embedded" not in standing.has["cp2"]
    assert "bootstrap" not in standing.has["cp2"]


def test_a_kubeconfig_without_a_certificate_is_replaced(standing: World, run: Run) -> None:
    """The join was interrupted while the kubelet asked for its certificate; kubeadm stumbles over what it wrote."""
    standing.has["cp2"] = {"etcd", "api", "admin", "manifests", "kubelet", "bootstrap", "traces"}
    standing.unfinished.add("cp2")
    assert run(join(standing, "cp2"))
    assert [arguments[:3] for _, arguments in standing.kubeadm_runs] == [
        ("init", "phase", "kubeconfig"),
        ("init", "phase", "kubelet-finalize"),
    ]
    assert not standing.commands("kubeadm reset")


def test_a_kubeconfig_that_names_the_renewed_certificate_is_left_alone(standing: World, run: Run) -> None:
    standing.has["cp2"].discard("kubelet")
    assert run(do(standing, "kubeadm-join:cp2"))
    assert standing.kubeadm_runs == []


def test_nothing_is_touched_without_a_majority(standing: World, run: Run) -> None:
    standing.quorum = False
    standing.has["cp3"] |= {"etcd", "manifests"}
    with pytest.raises(StepError, match="majority"):
        run(do(standing, "kubeadm-join:cp3"))
    assert not standing.commands("kubeadm reset")
    assert not standing.commands("rm -r")


def test_no_control_plane_joins_beside_another_that_has_no_vote_yet(standing: World, run: Run) -> None:
    standing.members[1]["isLearner"] = True
    with pytest.raises(ConditionTimeout, match="healthy"):
        run(join(standing, "cp3"))
    assert not [words for _, words in standing.kubeadm_runs if words[0] == "join"]


def test_who_votes_and_serves_no_clients_yet_keeps_the_next_one_from_nothing(standing: World, run: Run) -> None:
    standing.members[1].pop("name")  # which a member publishes before it serves
    standing.lingers = True  # kubeadm goes on waiting for that
    run(do(standing, "kubeadm-join:cp3"))
    assert run(do(standing, etcd_name(standing.topology.machine("cp3"))))
    with pytest.raises(ConditionTimeout, match="every etcd member is healthy"):
        run(do(standing, control_plane_name(standing.topology.machine("cp3"))))


def test_a_stranger_among_the_members_is_named_with_the_way_to_be_rid_of_it(standing: World, run: Run) -> None:
    standing.members.append({"ID": 0xBEEF, "peerURLs": ["https://10.80.0.99:2380"], "isLearner": True})
    with pytest.raises(ConditionTimeout, match="healthy") as caught:
        run(join(standing, "cp3"))
    assert "member remove beef" in caught.value.hint
    assert not [words for _, words in standing.kubeadm_runs if words[0] == "join"]


# -- joining a worker ----------------------------------------------------------------------------------------------


def test_a_fresh_worker_joins_and_is_labelled(standing: World, run: Run) -> None:
    assert run(do(standing, "kubeadm-join:worker1"))
    assert standing.nodes["worker1"] == {paths.WORKER_LABEL}
    assert not run(do(standing, "kubeadm-join:worker1"))


@pytest.mark.parametrize("left", [{"bootstrap", "kubelet"}, {"traces"}])
def test_a_half_joined_worker_begins_anew(standing: World, run: Run, left: set[str]) -> None:
    standing.has["worker1"] |= left
    assert run(do(standing, "kubeadm-join:worker1"))
    assert standing.commands("kubeadm reset")


def test_a_worker_made_anew_is_forgotten_first(standing: World, run: Run) -> None:
    standing.nodes["worker1"] = {paths.WORKER_LABEL}
    assert run(do(standing, "kubeadm-join:worker1"))
    assert standing.commands("delete", "node", "worker1")


def test_a_known_worker_whose_kubelet_stands_still_is_only_started(standing: World, run: Run) -> None:
    standing.make_worker("worker1")
    standing.has["worker1"].discard("kubelet")
    assert run(do(standing, "kubeadm-join:worker1"))
    assert standing.kubeadm_runs == []
    assert not standing.commands("kubeadm reset")


def test_a_worker_is_left_alone_while_the_api_is_away(standing: World, run: Run) -> None:
    standing.make_worker("worker1")
    standing.quorum = False
    with pytest.raises(StepError, match="no control plane answers"):
        run(do(standing, "kubeadm-join:worker1"))
    assert not standing.commands("kubeadm reset")


# -- an earlier run's kubeadm --------------------------------------------------------------------------------------


def test_a_kubeadm_that_still_runs_is_waited_for(standing: World, run: Run) -> None:
    standing.has["worker1"] = {"kubeadm", "bootstrap"}
    looks = 0
    answer = standing._shell

    def shell(machine: str, script: str, stdin: bytes) -> tuple[int, str]:
        nonlocal looks
        looks += machine == "worker1"
        if looks == 5:
            standing.make_worker("worker1")
            standing.has["worker1"] -= {"kubeadm", "bootstrap"}
        return answer(machine, script, stdin)

    standing._shell = shell  # type: ignore[method-assign]
    assert run(do(standing, "kubeadm-join:worker1"))
    assert standing.kubeadm_runs == []
    assert not standing.commands("kubeadm reset")


def test_kubeadm_runs_as_a_unit_that_cleans_up_after_itself(standing: World, run: Run) -> None:
    run(do(standing, "kubeadm-join:worker1"))
    (unit,) = standing.commands("systemd-run")
    assert f"--unit={paths.UNIT}" in unit[1]
    assert f"--property=ExecStopPost=/bin/rm -f {paths.DISCOVERY} {paths.SUPER_ADMIN}" in unit[1]
    assert "--property=UMask=0077" in unit[1]


def test_no_command_line_looks_like_a_token(standing: World, run: Run) -> None:
    run(join(standing, "cp3"))
    for name in ("kubeadm-join:worker1", "kubeadm-join:worker2"):
        run(do(standing, name))
    assert not re.search(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", json.dumps(standing.calls))


# -- cordoned nodes ------------------------------------------------------------------------------------------------


def test_a_cordoned_node_is_opened_and_said_since_when(standing: World, run: Run) -> None:
    standing.cordoned = {"cp2"}
    cordoned = step(standing, "schedulable:cp2")
    assert cordoned.instead is not None
    assert run(cordoned.instead(standing)) == ("it is cordoned", 1767323045.0)
    assert run(do(standing, "schedulable:cp1")) is False
    assert run(do(standing, "schedulable:cp2")) is True
    assert standing.cordoned == set()
    assert run(cordoned.instead(standing)) == ("", None)


def test_whether_a_node_is_cordoned_is_not_guessed(world: World, run: Run) -> None:
    assert run(step(world, "schedulable:cp1").probe(world)) is False


# -- credentials that are there and no good ------------------------------------------------------------------------


def test_a_certificate_that_ended_is_no_identity(standing: World, run: Run) -> None:
    """worker1 was off for long: it joins anew, and the plan says why."""
    standing.make_worker("worker1")
    standing.has["worker1"] -= {"identity", "kubelet"}
    standing.has["worker1"] |= {"traces", "faults the client's ended at Jan  1 00:00:00 2026 GMT"}
    found = step(standing, "kubeadm-join:worker1")
    assert not run(found.probe(standing))
    assert found.instead is not None
    said, _ = run(found.instead(standing))
    assert said == "the client's ended at Jan  1 00:00:00 2026 GMT; its kubelet doesn't run, or ends again and again"
    assert run(do(standing, "kubeadm-join:worker1"))
    assert standing.commands("kubeadm reset")


def test_words_of_a_fault_are_no_facts() -> None:
    seen = facts.parse(Completed(0, b"traces\nfaults kubelet identity api ended\n", b""))
    assert seen == facts.Facts(traces=True, faults=("kubelet identity api ended",))


def test_a_control_plane_with_an_ended_certificate_keeps_its_data(standing: World, run: Run) -> None:
    standing.has["cp2"].discard("identity")
    assert run(do(standing, "kubeadm-join:cp2"))
    assert "etcd" in standing.has["cp2"]
    assert not standing.commands("kubeadm reset")
    (removed,) = [argv for machine, argv in standing.calls if argv[0] == "rm" and paths.CLIENT in argv]
    assert paths.KUBELET in removed


def test_a_kubelet_whose_node_was_deleted_registers_again(standing: World, run: Run) -> None:
    """It does so only when it begins."""
    del standing.nodes["cp2"]
    run_at = len(standing.calls)
    with pytest.raises(ConditionTimeout, match="registers"):
        run(step(standing, "kubeadm-join:cp2").act(standing))
    assert ("cp2", ("systemctl", "restart", "kubelet")) in standing.calls[run_at:]


def test_what_a_kubelet_serves_with_is_replaced_where_it_is_no_good(standing: World, run: Run) -> None:
    reach = FakeTransport()
    reach.on("*", "sh", answers="faults it ended")
    reach.on("cp1", "kubectl", answers='{"items": []}')
    for words in (("test",), ("rm",), ("systemctl",)):
        reach.on("cp1", *words)
    run(step(standing, "kubelet-serving:cp1").act(reach))
    assert reach.commands("cp1")[:4][-2:] == [("rm", "-f", paths.SERVING), ("systemctl", "restart", "kubelet")]
