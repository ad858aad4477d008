"""Whether the gateway's registry has what the platform's own pods run."""

from __future__ import annotations

import asyncio

from tests.golden.laid_out import cases

from groundplane.components.registry.steps import steps
from groundplane.state.step import Completed
from groundplane.transport.fake import Call, FakeTransport

LAB = cases()["lab"]
PROXY = "/srv/registry/docker/registry/v2/repositories/registry.k8s.io/kube-proxy/_manifests/tags/v1.37.2/current/link"


def test_each_image_that_it_lacks_is_named() -> None:
    there: set[str] = set()

    def shell(call: Call) -> Completed:
        asked = [line.split() for line in call.stdin.decode().splitlines()]
        return Completed(0, "".join(f"{image}\n" for image, path in asked if path not in there).encode(), b"")

    reach = FakeTransport()
    reach.on("gateway", "sh", then=shell)
    (step,) = steps(LAB)
    assert step.restarts

    async def main() -> None:
        assert not await step.probe(reach)
        there.update(line.split()[1] for line in reach.calls[0].stdin.decode().splitlines())
        assert await step.probe(reach)
        there.remove(PROXY)
        assert step.instead is not None
        assert (await step.instead(reach))[0] == "it lacks registry.k8s.io/kube-proxy:v1.37.2"

    asyncio.run(main())
