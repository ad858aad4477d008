"""What it takes to run kubectl on this computer, against a platform: the bundle's own program and a way in.

Nothing is run here. Whoever sits at the terminal becomes kubectl, with its files, its ports and its signals; ``cli/``
does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from groundplane.errors import BundleError
from groundplane.recipes.common import Options, existing

if TYPE_CHECKING:
    from groundplane.design import Design
    from groundplane.machines.base import Provider
    from groundplane.topology.model import Secret

PROGRAM: Final = "usr/local/bin/kubectl"
"""Where kubectl lies in the bundle's software tree."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A kubectl of the platform's own version, and an administrator's kubeconfig for this computer's way to the API.

    ``cache`` is where kubectl may keep what it learns of this one platform: by itself it would tell platforms apart by
    host and port alone, and all labs are on 127.0.0.1.
    """

    program: Path
    kubeconfig: Secret
    cache: Path


async def prepared(options: Options) -> Kubectl:
    """Everything kubectl needs. One command on a control plane, whichever answers first.

    Raises BundleError where the cache has lost the bundle, MachineError where there is no platform or no way in, and
    StepError where no control plane has a kubeconfig.
    """
    design, provider = existing(options)
    name, version = design.topology.name, design.topology.software.kubernetes
    program = _program(version, options)
    return Kubectl(program, await way_in(design, provider), options.home.cache / "kubectl" / name)


async def way_in(design: Design, provider: Provider) -> Secret:
    """The administrator's kubeconfig, for use on this computer; raises as ``prepared``."""
    from groundplane.components.cluster.kubeconfig import user_kubeconfig

    address, port = provider.api_endpoint()
    return await user_kubeconfig(provider.transport, design.topology, f"https://{address}:{port}")


def _program(version: str, options: Options) -> Path:
    """The kubectl that came with Kubernetes ``version``: another one may ask what these API servers don't know."""
    from groundplane.bundle.bundle import open_bundle
    from groundplane.bundle.trees import software_tree

    cache = options.home.cache / "bundle"
    try:
        program = software_tree(open_bundle(cache / version)) / PROGRAM
        program.stat()
    except (BundleError, OSError) as error:
        raise BundleError(
            f"the bundle of Kubernetes {version}, which has kubectl, is no longer in the cache",
            where=str(cache),
            hint=f"run: groundplane bundle build {version}",
        ) from error
    return program
