"""How long it will take to come by a bundle, said before it begins. Pure but for the number of processors."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

# Processor-seconds that building a part with an empty cache took, downloads included: wall clock times two, on a
# virtual machine whose two processors were busy throughout. Others take OTHERS.
BUILDING: Final[Mapping[str, int]] = {
    "kubernetes": 900,
    "coredns": 180,
    "flannel": 140,
    "registry": 125,
    "containerd": 115,
    "etcd": 75,
    "netbase": 50,
}
OTHERS: Final = 15
NOTABLE: Final = 60.0  # seconds below which nothing is said


def told(missing: Sequence[tuple[str, str]], processors: int | None = None) -> str:
    """What to say of the parts that aren't in the cache, as pairs of name and source; empty where it's soon done.

    ``processors`` defaults to those this process may use.
    """
    count = processors or len(os.sched_getaffinity(0))
    built = [name for name, source in missing if source == "modules"]
    seconds = sum(BUILDING.get(name, OTHERS) for name in built) / count
    if seconds < NOTABLE:
        return _downloads(missing)
    others = Counter(source for _, source in missing if source != "modules")
    besides = "".join(f", {number} come from the {source}" for source, number in sorted(others.items()))
    what = "one part is" if len(built) == 1 else f"{len(built)} parts are"
    on = "processor" if count == 1 else "processors"
    return (
        f"{what} built here from Go modules{besides}: about {_minutes(seconds)} on {count} {on}, longer where they are "
        "busy; only this once, and an interrupted build goes on with the part it was at"
    )


def _downloads(missing: Sequence[tuple[str, str]]) -> str:
    number = sum(source == "release" for _, source in missing)
    if number < 3:
        return ""
    return f"{number} parts are downloaded, a few hundred MiB; only this once"


def _minutes(seconds: float) -> str:
    minutes = max(round(seconds / 60), 1)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
