"""What daemons lay on their nodes: looked for there, and brought back by a new pod."""

from __future__ import annotations

import asyncio

import pytest
from tests.golden.laid_out import cases

from groundplane.components.cluster import laid
from groundplane.design import design
from groundplane.state.step import Completed
from groundplane.transport.fake import Call, FakeTransport

GONE = Completed(1, b"the rules are gone\n", b"")
LAID = laid.Laid("rules", "have them", "look", "kube-system", "k8s-app=it")


@pytest.mark.parametrize(("after", "renewed"), [(2, 0), (30, 1)])
def test_a_pod_that_does_not_lay_it_by_itself_is_replaced_once(
    after: int, renewed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = cases()["lab"]
    worker = topology.machine("worker1")
    clock, deleted = [0.0], []

    def look(_: Call) -> Completed:
        clock[0] += 1
        return Completed(0, b"", b"") if clock[0] > after else GONE

    def delete(call: Call) -> Completed:
        deleted.append(call.argv)
        return Completed(0, b"", b"")

    async def at_once(_: float) -> None:
        return None

    monkeypatch.setattr(laid, "monotonic", lambda: clock[0])
    monkeypatch.setattr(asyncio, "sleep", at_once)
    reach = FakeTransport()
    reach.on("worker1", "sh", then=look)
    reach.on("*", "kubectl", then=delete)
    step = laid.step(topology, worker, LAID, "other")

    async def mend() -> None:
        assert not await step.probe(reach)
        assert step.instead is not None
        assert await step.instead(reach) == ("the rules are gone", None)
        await step.act(reach)
        assert await step.probe(reach)

    asyncio.run(mend())
    assert len(deleted) == renewed
    assert all("--field-selector=spec.nodeName=worker1" in argv for argv in deleted)


def test_every_node_is_asked_for_its_rules_and_whether_it_is_ready() -> None:
    plan = design(cases()["lab"])
    names = {step.name for step in plan.steps}
    for machine in plan.topology.nodes:
        assert {f"{what}:{machine.name}" for what in ("service-rules", "flannel-rules", "ready")} <= names
