"""Whether the gateway's registry has what the platform's own pods run, and what the user gave it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.golden.laid_out import cases

from groundplane.components.registry.steps import steps
from groundplane.software import Image
from groundplane.state.step import Completed, Step
from groundplane.topology.model import Topology
from groundplane.transport.fake import Call, FakeTransport

LAB = cases()["lab"]
TAGS = "/srv/registry/docker/registry/v2/repositories/{}/_manifests/tags/{}/current/link"
PROXY = TAGS.format("registry.k8s.io/kube-proxy", "v1.37.2")
APP = TAGS.format("example.org/team/app", "1.0")


def served(there: dict[str, str]) -> FakeTransport:
    """A gateway whose storage has these tags: by their path, what each names."""

    def shell(call: Call) -> Completed:
        asked = [line.split() for line in call.stdin.decode().splitlines()]
        return Completed(0, "".join(f"{image} {there.get(path, '')}\n" for image, path in asked).encode(), b"")

    reach = FakeTransport()
    reach.on("gateway", "sh", then=shell)
    return reach


def lacks(step: Step, reach: FakeTransport) -> str:
    """What the plan says of it; empty where it holds."""

    async def main() -> str:
        assert step.instead is not None
        return "" if await step.probe(reach) else (await step.instead(reach))[0]

    return asyncio.run(main())


def test_each_image_that_it_lacks_is_named() -> None:
    (step,) = steps(LAB)
    assert step.restarts
    there: dict[str, str] = {}
    reach = served(there)
    assert lacks(step, reach).startswith("it lacks registry.k8s.io/kube-apiserver:v1.37.2")
    there.update({line.split()[1]: "sha256:1" for line in reach.calls[0].stdin.decode().splitlines()})
    assert lacks(step, reach) == ""
    del there[PROXY]
    assert lacks(step, reach) == "it lacks registry.k8s.io/kube-proxy:v1.37.2"


def test_of_ones_own_images_it_has_what_was_given_last() -> None:
    own = (Image("example.org/team/app:1.0", "sha256:2"),)
    topology: Topology = replace(LAB, software=replace(LAB.software, own_images=own))
    _, step = steps(topology)
    assert step.restarts
    for there in ({}, {APP: "sha256:1"}):
        assert lacks(step, served(there)) == "it lacks example.org/team/app:1.0"
    assert lacks(step, served({APP: "sha256:2"})) == ""
