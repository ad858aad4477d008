"""The recipes, over every shape of platform a file may ask for."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.golden.laid_out import SECRETS as TEST_KEYS

from groundplane import recipes
from groundplane.cloudinit import HIDDEN, UNMADE
from groundplane.cloudinit.seed import Seed
from groundplane.components.everywhere import some
from groundplane.design import Design, design
from groundplane.errors import BundleError, Interrupted, Unreachable, UsageError
from groundplane.events import Event, Finished, Progress, Started, silent
from groundplane.machines.base import Blueprint, MachineStatus, Power
from groundplane.recipes import common, looking
from groundplane.recipes.acts import acts, boot
from groundplane.recipes.way_in import PROGRAM
from groundplane.rollout import carry_out, in_order
from groundplane.rollout.plan import Plan
from groundplane.software import Program, known_versions
from groundplane.spec import InvalidCluster, load
from groundplane.store import Store
from groundplane.topology import Traits, lay_out
from groundplane.topology.secrets_json import secrets_from_json
from groundplane.transport.fake import FakeTransport

SECRETS = secrets_from_json(TEST_KEYS.read_bytes())
EXAMPLES = Path(__file__).parents[3] / "examples"
SHAPES = {
    "lab": (EXAMPLES / "lab.yaml").read_bytes(),
    "minimal": (EXAMPLES / "minimal.yaml").read_bytes(),
    "smallest": b"name: x\n",
    "no workers": b"name: x\nmachines: {worker: 0}\n",
    "one balancer": b"name: x\nbalancers: {accept-single-point-of-failure: true}\nmachines: {balancer: 1}\n",
    "one control plane": b"name: x\nmachines: {control-plane: 1}\n",
    "cold standby": b"name: x\nbalancers: {standby: cold}\n",
    "older": b"name: x\nkubernetes: {version: 1.36.3}\nimage: {release: bookworm}\n",
}


def designed(text: bytes) -> Design:
    spec = load(text, name="cluster.yaml", versions=known_versions())
    return design(lay_out(spec, SECRETS, Traits()))


class Grounded:
    """A provider that only remembers what it was asked."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.asked: list[str] = []
        self.left = False
        self.running: tuple[str, ...] = ()

    async def prepare(self) -> None: ...

    async def ensure(self, machine: str, blueprint: Blueprint) -> bool:
        self.asked.append(f"ensure {machine}")
        return False

    async def wait_ready(self, machine: str, *, deadline: float = 180, strict: bool = True) -> str:
        self.asked.append(f"wait {machine}")
        return "running"

    async def stop(self, machine: str, *, force: bool = False) -> None: ...

    async def remove(self, machine: str) -> None: ...

    async def destroy(self) -> None:
        self.asked.append("destroy")

    def remains(self) -> bool:
        return self.left

    def status(self) -> tuple[MachineStatus, ...]:
        return tuple(MachineStatus(name, Power.RUNNING) for name in self.running)

    def console(self, machine: str) -> Path:
        return Path(machine)

    def api_endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", 1


@pytest.mark.parametrize("shape", SHAPES)
def test_every_step_comes_after_what_it_needs(shape: str) -> None:
    plan = designed(SHAPES[shape])
    found = in_order(acts(plan, Grounded(), Plan(), (), common.blueprints_of(plan), silent))
    assert len(found) == len(plan.steps) + len(plan.topology.machines)
    assert found[0].name == "machine:gateway"


@pytest.mark.parametrize("shape", SHAPES)
def test_check_names_are_unique_and_say_what_to_do(shape: str) -> None:
    checks = designed(SHAPES[shape]).checks
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.remedy and check.deadline > 0 for check in checks)


def test_a_machine_is_up_when_it_is_ready() -> None:
    provider = Grounded()
    plan = designed(SHAPES["smallest"])
    blueprint = next(blueprint for blueprint in common.blueprints_of(plan) if blueprint.state.machine == "cp1")
    asyncio.run(carry_out([boot(provider, blueprint)], provider.transport, silent))
    assert provider.asked == ["ensure cp1", "wait cp1"]


def test_an_unknown_machine_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        common.known_machine(designed(SHAPES["smallest"]).topology, "cp9")
    assert "cp1" in caught.value.hint


def test_a_look_tells_whom_it_waits_for() -> None:
    provider, told = Grounded(), list[Event]()
    provider.transport.on("*", "python3", raises=Unreachable("no answer"))
    provider.transport.on("*", "crm_mon", raises=Unreachable("no answer"))
    asyncio.run(looking.proposed(replace(designed(SHAPES["minimal"]), steps=()), provider, emit=told.append))
    first, *waits, last = told
    assert first == Started("platform", "look")
    assert isinstance(last, Finished)
    assert not last.changed
    names = [machine.name for machine in designed(SHAPES["minimal"]).topology.machines]
    assert len(waits) == 1 + len(names)
    assert waits[0] == Progress("platform", "look", note=f"waiting for {some(names)}")
    assert waits[-2] == Progress("platform", "look", note=f"waiting for {names[-1]}")
    assert waits[-1] == Progress("platform", "look", note="waiting for the cluster")


def test_cancelled_work_in_a_thread_is_told_to_stop_and_awaited() -> None:
    began = threading.Event()
    ended: list[bool] = []

    def work(cancel: threading.Event) -> None:
        began.set()
        ended.append(cancel.wait(5))
        raise Interrupted("stopped")

    async def main() -> None:
        task = asyncio.create_task(common.cancellable(work))
        await asyncio.to_thread(began.wait, 5)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert ended == [True]


def test_seeds_are_the_same_each_time() -> None:
    def seeds() -> Sequence[Seed]:
        return [blueprint.seed for blueprint in common.blueprints_of(designed(SHAPES["lab"]))]

    assert [seed.digest for seed in seeds()] == [seed.digest for seed in seeds()]


class Place:
    """A state folder of its own, and a provider in the real one's place."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.provider = Grounded()
        self.options = common.Options(folder / "lab.yaml", state_dir=folder / "state")
        for room in ("change", "common", "down", "standing", "up"):
            monkeypatch.setattr(sys.modules[f"groundplane.recipes.{room}"], "provider_for", lambda *_: self.provider)
        monkeypatch.setattr("groundplane.machines.lab.traits.traits", lambda: Traits())

    def write(self, text: str) -> None:
        self.options.file.write_text(text)

    @property
    def store(self) -> Store:
        return Store(self.options.home, "lab")

    def build(self) -> None:
        """As ``up`` leaves the store."""
        self.store.claim(common.validate(self.options.file))
        self.store.secrets(lambda: SECRETS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path, monkeypatch)
    found.write("name: lab\n")
    return found


@pytest.mark.parametrize(("built", "left"), [(True, False), (True, True), (False, True)])
def test_down_removes_what_is_remembered_or_left(place: Place, built: bool, left: bool) -> None:
    if built:
        place.build()
    place.provider.left = left
    assert asyncio.run(recipes.down(place.options))
    assert place.provider.asked == ["destroy"]
    assert not place.store.exists


def test_down_touches_and_makes_nothing_where_nothing_is_left(place: Place) -> None:
    assert not asyncio.run(recipes.down(place.options))
    assert place.provider.asked == []
    assert not place.store.exists


INVALID = "name: lab\nnetworks: {}\nmachines: {worker: x}\n"


def test_a_standing_platform_needs_no_more_of_its_file_than_the_name(place: Place) -> None:
    place.build()
    place.write(INVALID)
    found = common.named(place.options)
    assert (found.name, found.fault is not None) == ("lab", True)
    plan, _ = common.existing(place.options)
    assert len(plan.topology.workers) == 2
    assert asyncio.run(recipes.down(place.options))


@pytest.mark.parametrize(
    "text", [INVALID, "name: Lab\n", "name: [lab\n", "name: lab\nname: other\n", "nam: lab\n", "name: '123'\n"]
)
def test_an_invalid_file_that_names_no_standing_platform_is_refused(place: Place, text: str) -> None:
    if text != INVALID:
        place.build()
    place.write(text)
    with pytest.raises(InvalidCluster):
        common.named(place.options)


def test_what_builds_or_changes_refuses_an_invalid_file(place: Place) -> None:
    place.build()
    place.write(INVALID)
    for recipe in (recipes.up(place.options), recipes.plan(place.options), recipes.apply(place.options)):
        with pytest.raises(InvalidCluster):
            asyncio.run(recipe)


KUBECONFIG = b"""
clusters: [{cluster: {certificate-authority-data: QQ==}}]
users: [{user: {client-certificate-data: Qg==, client-key-data: Qw==}}]
"""


def test_kubectl_gets_the_bundles_program_and_a_way_in(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(path: Path) -> object:
        assert path == place.options.home.cache / "bundle" / "1.37.2"
        return object()

    monkeypatch.setattr("groundplane.bundle.bundle.open_bundle", opened)
    monkeypatch.setattr("groundplane.bundle.trees.software_tree", lambda _: tmp_path)
    (tmp_path / PROGRAM).parent.mkdir(parents=True)
    (tmp_path / PROGRAM).touch()
    place.build()
    place.provider.transport.on("cp1", "cat", raises=Unreachable("it is off"))
    place.provider.transport.on("cp2", "cat", status=1)
    place.provider.transport.on("cp3", "cat", answers=KUBECONFIG)
    found = asyncio.run(recipes.kubectl(place.options))
    assert found.program == tmp_path / PROGRAM
    assert found.cache == place.options.home.cache / "kubectl" / "lab"
    assert 'server: "https://127.0.0.1:1"\n' in found.kubeconfig.text()
    (tmp_path / PROGRAM).unlink()
    with pytest.raises(BundleError, match="no longer in the cache"):
        asyncio.run(recipes.kubectl(place.options))


def test_checks_that_are_not_there_are_bad_usage(place: Place) -> None:
    place.build()
    with pytest.raises(UsageError, match="no such check: nosuch"):
        asyncio.run(recipes.verify(place.options, ("nosuch",)))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rendering_what_is_not_built_gives_the_same_bytes_each_time(place: Place, tmp_path: Path) -> None:
    written = recipes.render(place.options, tmp_path / "one")
    recipes.render(place.options, tmp_path / "two")
    one = tree(tmp_path / "one")
    assert one == tree(tmp_path / "two")
    assert len(one) == len(written)
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    assert one["cp1/root/etc/kubernetes/pki/ca.crt"] == UNMADE.format("kubernetes_ca").encode()
    assert one["cp1/root/etc/kubernetes/pki/ca.key"] == HIDDEN
    assert not any(b"-----BEGIN" in content for content in one.values())
    assert not place.store.exists


def test_rendering_what_is_built_shows_its_certificates(place: Place, tmp_path: Path) -> None:
    place.build()
    recipes.render(place.options, tmp_path / "one")
    found = tree(tmp_path / "one")
    assert found["cp1/root/etc/kubernetes/pki/ca.crt"] == SECRETS.kubernetes_ca.certificate
    assert found["cp1/root/etc/kubernetes/pki/ca.key"] == HIDDEN


def test_rendering_with_secrets_shows_keys_that_fit_their_certificates(place: Place, tmp_path: Path) -> None:
    recipes.render(place.options, tmp_path / "one", show_secrets=True)
    found = tree(tmp_path / "one")
    for name in ("ca.crt", "ca.key"):
        assert found[f"cp1/root/etc/kubernetes/pki/{name}"].startswith(b"-----BEGIN")


def test_a_built_platform_knows_its_programs_without_the_bundle(place: Place) -> None:
    """Nothing is in the cache here: what they hold was remembered when it was built."""
    place.build()
    store = place.store
    store.remember_programs([Program("/usr/local/bin/etcdctl", f"sha256:{'0' * 64}", 7)])
    design, _ = common.existing(place.options)
    known = [one for state in design.states for one in state.artifacts if one.digest]
    assert {(one.path, one.size) for one in known} == {("/usr/local/bin/etcdctl", 7)}
    assert len(known) == len(design.topology.control_planes)
