"""Hypothesis strategies of cluster files: valid ones, and valid ones spoilt."""

from __future__ import annotations

import json
from ipaddress import IPv4Network

from hypothesis import strategies as st

from groundplane.spec.names import NAMES_WITH_A_MEANING

names = st.from_regex(r"[a-z]([a-z0-9-]{0,12}[a-z])?", fullmatch=True).filter(
    lambda name: name not in ("api", "registry", *NAMES_WITH_A_MEANING)
)
lans = st.builds(
    lambda second, third, prefix: str(IPv4Network(f"172.{second}.{third}.0/{prefix}", strict=False)),
    st.integers(16, 31),
    st.integers(0, 255),
    st.integers(16, 26),
)
sizes = st.fixed_dictionaries(
    {"cpus": st.sampled_from([1, 1.5, 4]), "memory": st.sampled_from(["2GiB", "4096MiB", "64GiB"])}
)


@st.composite
def _lists(draw: st.DrawFn) -> list[dict[str, object]]:
    """An explicit list with every role, some entries with sizes and MACs; addresses are left to the defaults."""
    roles = ["gateway", "balancer", "balancer", *["control-plane"] * draw(st.sampled_from([1, 3]))]
    roles += ["worker"] * draw(st.integers(0, 8))
    unique = draw(st.lists(names, min_size=len(roles), max_size=len(roles), unique=True))
    macs = draw(st.lists(st.integers(0, 2**40 - 1), min_size=len(roles), max_size=len(roles), unique=True))
    entries: list[dict[str, object]] = []
    for role, name, mac in zip(draw(st.permutations(roles)), unique, macs, strict=True):
        entry: dict[str, object] = {"name": name, "role": role}
        if draw(st.booleans()):
            entry["size"] = draw(sizes)
        if draw(st.booleans()):
            entry["mac"] = ":".join(f"{byte:02X}" for byte in (0x52, *mac.to_bytes(5, "big")))
        entries.append(entry)
    return entries


counts = st.fixed_dictionaries(
    {}, optional={"control-plane": st.sampled_from([1, 3, 5]), "worker": st.integers(0, 20), "balancer": st.just(2)}
)

clusters: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {"name": names, "machines": st.one_of(counts, _lists())},
    optional={
        "network": st.fixed_dictionaries(
            {}, optional={"lan": lans, "domain": st.sampled_from(["a.test", "lab.internal"])}
        ),
        "image": st.sampled_from([{"release": "bookworm"}, {"distribution": "ubuntu", "release": "noble"}]),
        "balancers": st.fixed_dictionaries({"standby": st.sampled_from(["hot", "cold"])}),
        "sizes": st.fixed_dictionaries({}, optional={"worker": sizes, "control-plane": sizes}),
    },
)


def written(cluster: object) -> bytes:
    """A cluster as a file: JSON is YAML, and one key a line makes it easy to spoil."""
    return json.dumps(cluster, indent=1).encode()
