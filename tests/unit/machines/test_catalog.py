"""What picks a provider, and that nothing above ``machines/`` knows which one it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from tests.golden.laid_out import SECRETS
from tests.unit.drill.made import Hands
from tests.unit.machines.scripted import Plain, Scripted

from groundplane import recipes
from groundplane.bundle.bundle import Binary
from groundplane.cli.root import need_root
from groundplane.cli.session import Session
from groundplane.drill import ground_of
from groundplane.errors import HostError, MachineError
from groundplane.events import silent
from groundplane.machines import catalog
from groundplane.machines.base import Console, Faults, MachineStatus, OnLan, Power, PowerSwitch, Tree
from groundplane.machines.lab.provider import LabProvider
from groundplane.recipes import common, looking
from groundplane.rollout.plan import Removal
from groundplane.software import Program
from groundplane.spec.exhaustive import exhaustive
from groundplane.spec.model import ProviderName
from groundplane.spec.providers import DEFAULT, OPERATOR_ON_LAN
from groundplane.store import Store
from groundplane.topology.model import Topology, Traits
from groundplane.topology.secrets_json import secrets_from_json

ELSEWHERE = Traits(cgroup_version=1, own_kernel=False)


class Word(StrEnum):
    ONE = "one"
    OTHER = "other"


def test_a_word_without_a_row_fails_where_the_table_is_written() -> None:
    with pytest.raises(LookupError, match="Word other"):
        exhaustive(Word, {Word.ONE: 1})
    assert exhaustive(Word, {Word.ONE: 1, Word.OTHER: 2})[Word.OTHER] == 2


def test_what_the_rules_know_of_the_lab_is_what_it_can_do(
    make_topology: Callable[..., Topology], tmp_path: Path
) -> None:
    lab = LabProvider(make_topology(), None, tmp_path, silent)
    assert isinstance(lab, OnLan) is OPERATOR_ON_LAN[ProviderName.LAB]
    assert all(isinstance(lab, ability) for ability in (PowerSwitch, Console, Faults))


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """The only kind there is. Whoever still asked for the lab would get none."""
    scripted = Scripted()
    monkeypatch.setattr(catalog, "KINDS", {DEFAULT: scripted})
    for name in [name for name in sys.modules if name.startswith("groundplane.machines.lab")]:
        monkeypatch.setitem(sys.modules, name, None)
    return scripted


@pytest.fixture
def options(tmp_path: Path) -> recipes.Options:
    (tmp_path / "c.yaml").write_text("name: lab\n")
    return recipes.Options(tmp_path / "c.yaml", state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


@pytest.fixture
def built(options: recipes.Options) -> Store:
    store = Store(options.home, "lab")
    store.claim(recipes.validate(options.file))
    store.secrets(lambda: secrets_from_json(SECRETS.read_bytes()))
    return store


def rendered(options: recipes.Options, out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in recipes.render(options, out)}


def test_a_platform_keeps_the_traits_it_was_built_with(
    kind: Scripted, options: recipes.Options, built: Store, tmp_path: Path
) -> None:
    kind.found = ELSEWHERE
    built.remember_traits(recipes.existing(options)[0].topology.traits)
    there = rendered(options, tmp_path / "there")
    kind.found = Traits()
    assert recipes.existing(options)[0].topology.traits == ELSEWHERE
    assert rendered(options, tmp_path / "here") == there
    (built.folder / "traits.json").unlink()
    assert rendered(options, tmp_path / "forgotten") != there


def test_up_remembers_the_traits_before_it_makes_anything(
    kind: Scripted, options: recipes.Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_short(*_: object, **__: object) -> None:
        raise MachineError("no power")

    kind.found = ELSEWHERE
    monkeypatch.setattr(sys.modules["groundplane.recipes.up"], "proposed", cut_short)
    with pytest.raises(MachineError, match="no power"):
        asyncio.run(recipes.up(options))
    kind.found = Traits()
    assert recipes.existing(options)[0].topology.traits == ELSEWHERE


def test_only_what_the_machines_are_made_of_is_got(
    kind: Scripted, options: recipes.Options, built: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    got: list[str] = []

    class Bundle:
        binaries = (Binary("tool", "/bin/tool", "sha256:0", 7, "1", "MIT", "tool"),)

    def obtain(*_: object, **__: object) -> Bundle:
        got.append("bundle")
        return Bundle()

    def software_tree(bundle: Bundle, *, cancel: object) -> Path:
        got.append("software")
        return tmp_path / "software"

    def registry_tree(*_: object, **__: object) -> Path:
        raise AssertionError("nobody asked for it")

    def build(*_: object) -> Coroutine[None, None, None]:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr("groundplane.bundle.obtain.obtain", obtain)
    monkeypatch.setattr("groundplane.bundle.trees.software_tree", software_tree)
    monkeypatch.setattr("groundplane.bundle.trees.registry_tree", registry_tree)
    monkeypatch.setattr("groundplane.image.build", build)
    plan, _ = recipes.existing(options)
    assert asyncio.run(common.gathered(plan, options, silent, b"")).trees == {}
    assert got == []
    kind.material = frozenset({Tree.SOFTWARE})
    material = asyncio.run(common.gathered(plan, options, silent, b""))
    assert material.trees == {Tree.SOFTWARE: tmp_path / "software"}
    assert material.programs == (Program("/bin/tool", "sha256:0", 7),)
    assert got == ["bundle", "software"]


def test_a_provider_that_lacks_an_ability_says_so(kind: Scripted, options: recipes.Options, built: Store) -> None:
    with pytest.raises(MachineError, match="can't switch machines off") as switch:
        asyncio.run(recipes.power(options, on=False))
    with pytest.raises(MachineError, match="doesn't keep what machines write") as console:
        recipes.console(options, "cp1")
    assert "groundplane ssh MACHINE" in switch.value.hint
    assert "groundplane ssh MACHINE" in console.value.hint
    design, provider = recipes.existing(options)
    with pytest.raises(MachineError, match="can't be broken on purpose"):
        ground_of(design.topology, provider, (), (), Hands([]))


def test_the_status_of_a_platform_is_that_of_its_own_machines(
    kind: Scripted, options: recipes.Options, built: Store, virtual_time: Callable[[Coroutine[Any, Any, Any]], Any]
) -> None:
    kind.strangers = (MachineStatus("w9", Power.OFF),)
    found = virtual_time(recipes.status(options))
    design, provider = recipes.existing(options)
    assert [machine.name for machine in found.machines] == [machine.name for machine in design.topology.machines]
    assert {machine.power for machine in found.machines} == {"running"}
    assert isinstance(provider, Plain)
    assert [machine.name for machine in provider.status() if machine.exists][-1] == "w9"


def test_what_the_file_no_longer_has_is_removed_not_changed(
    kind: Scripted, options: recipes.Options, built: Store
) -> None:
    kind.strangers = (MachineStatus("w9", Power.OFF),)
    design, provider = recipes.existing(options)
    plan = asyncio.run(looking.proposed(replace(design, steps=()), provider))
    assert "w9" not in {machine.machine for machine in plan.machines}
    assert not any(machine.off for machine in plan.machines)
    assert plan.removals == (Removal("w9", "the file doesn't have it", alive=False),)


def test_root_is_asked_for_where_the_provider_needs_it(kind: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    from groundplane.cli.output import Output
    from groundplane.cli.session import Common

    monkeypatch.setattr("groundplane.cli.root.is_root", lambda: False)
    session = Session(Common(), False, Output.standard(colour=False))
    need_root(session, DEFAULT, "build machines")
    kind.needs_root = True
    with pytest.raises(HostError, match="only root may build machines"):
        need_root(session, DEFAULT, "build machines")
