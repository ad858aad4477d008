"""The platforms whose golden trees are kept, laid out with the test keys."""

from __future__ import annotations

from pathlib import Path

from groundplane.spec import ClusterSpec, load
from groundplane.topology import Topology, Traits, lay_out
from groundplane.topology.secrets_json import secrets_from_json

HERE = Path(__file__).parent
SECRETS = HERE / "test_keys" / "secrets.json"
EXAMPLE = HERE.parents[1] / "examples" / "lab.yaml"
VARIANT = HERE / "variant.yaml"
COLD = HERE / "cold.yaml"
HOSTILE = HERE / "hostile.yaml"
THREE = HERE.parents[1] / "examples" / "three.yaml"

OLD_HOST = Traits(cgroup_version=1, own_clock=False, own_kernel=False, own_disk=False, lowers_oom_score=False)
"""Containers on a host with cgroup v1 that keeps some rights to itself: where components adapt most."""

NEW_HOST = Traits(cgroup_version=2, own_clock=False, own_kernel=False)
"""Containers on a host with cgroup v2 that lets root do what root does."""


def cases() -> dict[str, Topology]:
    """Case → topology. ``lab`` is the shipped example; ``variant`` has all that the example leaves out, on machines
    that are their own masters, with a single balancer; ``cold`` has that and a pair; ``three`` is another example, each
    machine of which has several roles."""
    secrets = secrets_from_json(SECRETS.read_bytes())
    return {
        "lab": lay_out(specification(EXAMPLE), secrets, OLD_HOST),
        "variant": lay_out(specification(VARIANT), secrets, Traits()),
        "cold": lay_out(specification(COLD), secrets, NEW_HOST),
        "three": lay_out(specification(THREE), secrets, OLD_HOST),
    }


def hostile() -> Topology:
    """A platform whose valid names are easily misread. Its tree isn't kept: programs and parsers read it."""
    return lay_out(specification(HOSTILE), secrets_from_json(SECRETS.read_bytes()), NEW_HOST)


def specification(file: Path) -> ClusterSpec:
    return load(file, name=file.name, versions=("1.37.2",))
