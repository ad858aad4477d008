"""The registry's acts: have the images that the platform's own pods run, and those of the user's own."""

from __future__ import annotations

from collections.abc import Sequence

from groundplane.components.everywhere import some
from groundplane.components.registry.fragment import STORAGE
from groundplane.software import Image
from groundplane.state.step import Reach, Step
from groundplane.topology.model import Topology
from groundplane.verify.condition import NotYet, wait_until

NAME = "registry-images"
OWN = "own-images"
_DEADLINE = 60.0
# Each image comes with where the registry's storage has its tag, and is told with what the tag names, if it is there.
_LOOK = 'while read -r image path; do tag=; [ -e "$path" ] && read -r tag <"$path"; echo "$image $tag"; done'


def steps(topology: Topology) -> tuple[Step, ...]:
    software = topology.software
    shipped = _has(
        topology,
        NAME,
        "have the images that the platform's own pods run: the gateway is switched off and on for them",
        [Image(reference, "") for reference in software.images],
        "`groundplane bundle verify` tells whether the software bundle has them",
    )
    if not software.own_images:
        return (shipped,)
    own = _has(
        topology,
        OWN,
        "have the images of your own: the gateway is switched off and on for them",
        software.own_images,
        "give them once more with `groundplane up --extra-images`",
    )
    return (shipped, own)


def _has(topology: Topology, name: str, why: str, images: Sequence[Image], hint: str) -> Step:
    gateway = topology.gateway.name
    wanted = "".join(f"{one.reference} {_tag(one.reference)}\n" for one in images).encode()

    async def missing(reach: Reach) -> list[str]:
        told = (await reach.run(gateway, ("sh", "-c", _LOOK), stdin=wanted, timeout=15)).text
        tags = dict(words for line in told.splitlines() if len(words := line.split()) == 2)
        return [
            one.reference for one in images if one.reference not in tags or one.digest not in ("", tags[one.reference])
        ]

    async def probe(reach: Reach) -> bool:
        return not await missing(reach)

    async def act(reach: Reach) -> None:
        async def there() -> None:
            if lacking := await missing(reach):
                raise NotYet(f"it lacks {some(lacking)}")

        await wait_until("the registry has all of them", there, deadline=_DEADLINE, every=1, where=gateway, hint=hint)

    async def instead(reach: Reach) -> tuple[str, float | None]:
        return f"it lacks {some(await missing(reach))}", None

    return Step(
        name=name,
        machine=gateway,
        why=why,
        probe=probe,
        act=act,
        needs_machines=(gateway,),
        deadline=_DEADLINE + 30,
        instead=instead,
        restarts=True,
    )


def _tag(image: str) -> str:
    """Where the storage of the distribution registry says which manifest a tag is (its ``storage/paths.go``)."""
    repository, tag = image.rsplit(":", 1)
    return f"{STORAGE}/docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"
