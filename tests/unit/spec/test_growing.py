"""One machine more: a name nobody has, and nobody else moves."""

from __future__ import annotations

import pytest

from groundplane.spec import ClusterSpec, load
from groundplane.spec.addressing import grown, lay_out_addresses, roster
from groundplane.spec.cards import lay_out_cards
from groundplane.spec.roles import Role

COUNTS = "name: lab\n"
LISTED = """\
name: lab
machines:
  - {name: worker1, role: worker}
  - {name: front, role: balancer}
  - {name: gateway, role: gateway}
  - {name: lb2, role: balancer}
  - {name: all, roles: [control-plane, worker]}
"""
MORE = (Role.CONTROL_PLANE, Role.WORKER, Role.WORKER)


def laid_out(spec: ClusterSpec) -> dict[str, tuple[str, str]]:
    places = zip(roster(spec), lay_out_cards(spec), lay_out_addresses(spec).machines, strict=True)
    return {entry.name: (mac, str(address)) for entry, mac, address in places}


@pytest.mark.parametrize(
    ("text", "names"), [(COUNTS, {"cp4", "worker3", "worker4"}), (LISTED, {"cp2", "worker2", "worker3"})]
)
def test_machines_that_are_added_have_names_of_their_own_and_the_others_stay(text: str, names: set[str]) -> None:
    spec = load(text.encode(), name="cluster.yaml", versions=("1.37.2",))
    more = grown(spec, MORE)
    before, after = laid_out(spec), laid_out(more)
    assert after.keys() - before.keys() == names
    assert {name: after[name] for name in before} == before
    assert ClusterSpec.model_validate_json(more.model_dump_json(by_alias=True, exclude_unset=True)) == more, (
        "it can be remembered"
    )
    assert {entry.name: entry.all_roles for entry in roster(more) if entry.name in names} == {
        name: (Role.CONTROL_PLANE,) if name.startswith("cp") else (Role.WORKER,) for name in names
    }
