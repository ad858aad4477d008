"""The registry's one act: have the images that the platform's own pods run."""

from __future__ import annotations

from groundplane.components.everywhere import some
from groundplane.components.registry.fragment import STORAGE
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet, wait_until

NAME = "registry-images"
_DEADLINE = 60.0
# Each image comes with where the registry's storage has its tag; those that aren't there are told.
_LOOK = 'while read -r image path; do [ -e "$path" ] || echo "$image"; done'


def steps(topology: Topology) -> tuple[Step, ...]:
    gateway = topology.gateway.name
    wanted = "".join(f"{image} {_tag(image)}\n" for image in topology.software.images).encode()

    async def missing(reach: Reach) -> list[str]:
        return (await reach.run(gateway, ("sh", "-c", _LOOK), stdin=wanted, timeout=15)).text.split()

    async def probe(reach: Reach) -> bool:
        return not await missing(reach)

    async def act(reach: Reach) -> None:
        async def there() -> None:
            if lacking := await missing(reach):
                raise NotYet(f"it lacks {some(lacking)}")

        await wait_until(
            "the registry has the platform's images",
            there,
            deadline=_DEADLINE,
            every=1,
            where=gateway,
            hint="`groundplane bundle verify` tells whether the software bundle has them",
        )

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return f"it lacks {some(await missing(reach))}", None

    return (
        Step(
            name=NAME,
            machine=gateway,
            why="have the images that the platform's own pods run: the gateway is switched off and on for them",
            probe=probe,
            act=act,
            needs_machines=(gateway,),
            deadline=_DEADLINE + 30,
            instead=instead,
            restarts=True,
        ),
    )


def _tag(image: str) -> str:
    """Where the storage of the distribution registry says which manifest a tag is (its ``storage/paths.go``)."""
    repository, tag = image.rsplit(":", 1)
    return f"{STORAGE}/docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"
