"""Whether the registry answers as its clients ask: over TLS, by name, trusted through the platform's authority."""

from __future__ import annotations

from groundplane.components.everywhere import everywhere, some
from groundplane.components.system.fragment import PLATFORM_CA
from groundplane.state.step import Reach
from groundplane.topology.model import Machine, Topology
from groundplane.verify.check import RECOVERY, Check
from groundplane.verify.condition import NotYet

_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def checks(topology: Topology) -> tuple[Check, ...]:
    urls = tuple(manifest_url(topology, image) for image in topology.software.images)

    async def probe(reach: Reach) -> str:
        async def ask(machine: Machine) -> None:
            await _have_all(reach, machine, urls)

        asked = await everywhere(topology.nodes, ask)
        return f"{asked} nodes can have all {len(urls)} images"

    return (
        Check(
            name="registry",
            title="Every node finds the platform's images in the registry",
            deadline=RECOVERY,
            remedy="on the gateway, `journalctl -u groundplane-registry` shows why it does not run; a status of 404 "
            "means that the software bundle lacks the image: see `groundplane bundle verify`",
            probe=probe,
        ),
    )


def manifest_url(topology: Topology, image: str) -> str:
    """Where the manifest of ``host/repository:tag`` lies: the upstream's host is part of the repository's name."""
    repository, tag = image.rsplit(":", 1)
    return f"https://{topology.registry_host}/v2/{repository}/manifests/{tag}"


async def _have_all(reach: Reach, machine: Machine, urls: tuple[str, ...]) -> None:
    """Ask for all ``urls`` over one connection. curl reads them from stdin, each with where its body goes."""
    argv = ["curl", "--silent", "--show-error", "--head", "--cacert", PLATFORM_CA]
    argv += ["--connect-timeout", "3", "--header", f"Accept: {_MANIFESTS}"]
    argv += ["--write-out", "%{http_code} %{url}\\n", "--config", "-"]
    wanted = "".join(f'url = "{url}"\noutput = /dev/null\n' for url in urls)
    answer = await reach.run(machine.name, argv, stdin=wanted.encode(), timeout=30, check=False)
    refused = [line for line in answer.text.splitlines() if not line.startswith("200 ")]
    if refused:
        said = answer.stderr.decode(errors="replace").strip().splitlines()
        raise NotYet(said[0] if said else some(refused))
    if len(answer.text.splitlines()) != len(urls):
        raise NotYet(f"curl ended with status {answer.status}: {answer.stderr.decode(errors='replace').strip()}")
