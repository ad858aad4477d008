"""Files made for other tools that build Kubernetes: refused by name, and told what each part of them is called here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from groundplane.spec.document import Document, Value, plain_scalar
from groundplane.spec.peers import Peer, recognised
from groundplane.spec.problem import InvalidCluster, Path, Problem, dotted
from groundplane.spec.remedy import Absent, value_at

Accepts = Callable[[dict[str, Value]], bool]
"""Whether a cluster file with this content has no fault."""


def problems(document: Document, accepts: Accepts) -> tuple[Problem, ...]:
    """Nothing for a cluster file; for a peer's what it is, and for each part with a counterpart, how to write that."""
    if recognised(document.data) is None:
        return ()
    documents = (document, *document.following)
    known = [(each, peer) for each in documents if (peer := recognised(each.data)) is not None]
    # What any tool may bring along, such as a Namespace, tells less than what only one has.
    telling, peer = next((one for one in known if one[1].telling), known[0])
    message = f"this is a file for {peer.name}, not one for groundplane"
    at = telling.place((peer.key,), key=True)
    found = [Problem(*at, "", message, "begin a file of its own with what is told of its keys")]
    so_far: dict[str, Value] = {"name": "lab"}
    for each, other in known:
        found += _counterparts(other, each, so_far, accepts)
    if len(found) == 1:
        words = "begin a file of its own: `groundplane explain` shows every key, `name: my-platform` alone is enough"
        found = [Problem(*at, "", message, words)]
    return tuple(found)


def refuse_text(text: str, name: str, accepts: Accepts) -> None:
    """Raise InvalidCluster for kubespray's inventory in Ansible's other form, which is no YAML."""
    if text.lstrip().startswith(("{", "name:")):
        return
    first, role = None, ""
    counts: dict[str, Value] = {}
    for number, line in enumerate(text[:100_000].split("\n"), 1):
        if (head := _INI_GROUP.fullmatch(line)) is not None:
            role = _INI_ROLES.get(head[2].replace("-", "_"), "")
            if first is None and (role or head[2] in _INI_PARENTS):
                first = (number, len(head[1]) + 1)
        elif role and line.strip() and not line.lstrip().startswith(("#", ";")):
            before = counts.get(role)
            counts[role] = before + 1 if isinstance(before, int) else 1
    if first is None:
        return
    message = "this is a file for kubespray (an inventory), not one for groundplane"
    told = counts and accepts({"name": "lab", "machines": dict(counts)})
    instead = f"its groups are `{_stanza('machines', counts)}` here" if told else "its groups are `machines` here"
    raise InvalidCluster(name, [Problem(*first, "", message, instead)], text)


_INI_GROUP = re.compile(r"([ \t]*)\[([a-z0-9_:-]+)\][ \t]*(?:[#;].*)?")
_INI_ROLES = {"kube_control_plane": "control-plane", "kube_master": "control-plane", "kube_node": "worker"}
_INI_PARENTS = ("k8s_cluster:children", "k8s-cluster:children")


def _counterparts(peer: Peer, document: Document, so_far: dict[str, Value], accepts: Accepts) -> Iterator[Problem]:
    """What each part is here. ``so_far`` is the cluster file that comes of following what was said; it grows."""
    for part in peer.counterparts:
        path: Path = tuple(part.theirs.split("."))
        value = value_at(document.data, path)
        if isinstance(value, Absent):
            continue
        ours = part.translate(value)
        instead = f"see `groundplane explain {part.ours}`"
        if ours is not None:
            stanza = _nested(tuple(part.ours.split(".")), ours)
            key, inner = next(iter(stanza.items()))
            before = so_far.get(key)
            whole = {
                **so_far,
                key: {**before, **inner} if isinstance(before, dict) and isinstance(inner, dict) else inner,
            }
            if accepts(whole):
                so_far.update(whole)
                instead = f"write `{_stanza(key, inner)}`"
        yield Problem(*document.place(path, key=True), dotted(path), f"this is `{part.ours}` here", instead)


def _nested(path: tuple[str, ...], value: Value) -> dict[str, Value]:
    inner: Value = value
    for part in reversed(path[1:]):
        inner = {part: inner}
    return {path[0]: inner}


def _stanza(key: str, value: Value) -> str:
    return f"{key}: {_flow(value)}"


def _flow(value: Value) -> str:
    """The value on one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(_stanza(key, inner) for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = (
        isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9./-]*", value) and plain_scalar(value) == value
    )
    return str(value) if plain else json.dumps(value)
