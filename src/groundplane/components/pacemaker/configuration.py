"""Pacemaker's configuration (the CIB): what of it is ours, how that differs from what is wanted, what it becomes. Pure.

Ours are the resources, constraints and options whose ids stand in ``OURS``. All else is left as it is: what Pacemaker
adds itself (``dc-version``), what users add (resources of their own, bans and moves), and how a user runs a resource of
ours for the time being (``OPERATORS``). Order and comments mean nothing, but for the members of a group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from groundplane.errors import StepError

OURS: Final = frozenset(
    {
        "haproxy-clone", "floating-address", "api",
        "address-with-haproxy", "haproxy-then-address", "address-with-leader",
        "option-cluster-infrastructure", "option-cluster-name", "option-no-quorum-policy", "option-stonith-enabled",
        "option-dc-deadtime", "option-transition-delay", "rsc-defaults-stickiness",
    }
)  # fmt: skip
"""Every id that a configuration of ours has given, now or once, to a resource or constraint at the top of its section
or to an option. By it one is known that isn't wanted any more, so none may ever leave this set."""
OPERATORS: Final = frozenset({"target-role", "is-managed", "maintenance"})
"""How a user stops a resource, or takes it out of Pacemaker's hands, for a while (crm_resource(8)). As a ban is, it is
theirs."""

_SETS: Final = (("crm_config", "cluster_property_set"), ("rsc_defaults", "meta_attributes"))
_LISTS: Final = ("resources", "constraints")
_REFERENCES: Final = ("rsc", "with-rsc", "first", "then")
_RESTARTING: Final = ("class", "provider", "type")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a look at the living configuration found.

    ``differences`` are in words, empty where it is as wanted. ``target`` is the whole of it as it should be, one
    version on. ``strangers`` are balancers it remembers that the platform doesn't have: they go by another way.
    ``restarts`` are the resources that stop and start for the differences.
    """

    differences: tuple[str, ...]
    target: bytes = field(repr=False)
    strangers: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()


def compare(found: bytes, wanted: bytes, *, newest: bool = False) -> Comparison:
    """Compare the CIB as it lives with the one that is ``wanted``.

    ``newest``: every balancer's Pacemaker can read the wanted schema. An older schema is only raised then, and never
    lowered: Pacemaker may have raised it itself. StepError where ``found`` is no CIB.
    """
    living, plan = _parse(found), _parse(wanted)
    target = deepcopy(living)
    words = [*_raise_schema(target, plan)] if newest else []
    for section, kind in _SETS:
        words += _options(_section(target, section), _section(plan, section), kind)
    for section in _LISTS:
        words += _elements(_section(target, section), _section(plan, section), living)
    gone = _ids(_section(living, "resources")) - _ids(_section(target, "resources"))
    words += _dangling(_section(target, "constraints"), gone)
    nodes = _section(living, "nodes").iter("node")
    # Remote nodes, a user's own, are no members and come and go by Pacemaker's own doing.
    known = [node.get("uname", "") for node in nodes if node.get("type", "member") == "member"]
    balancers = {node.get("uname", "") for node in _section(plan, "nodes").iter("node")}
    _next_version(target)
    return Comparison(
        tuple(words),
        ElementTree.tostring(target),
        tuple(sorted(name for name in known if name not in balancers)),
        tuple(_restarting(living, plan)),
    )


def _parse(text: bytes) -> Element:
    """A CIB. It never has a document type: one is refused before any entity of it could be expanded."""
    try:
        if b"<!DOCTYPE" in text:
            raise ElementTree.ParseError("it has a document type")
        builder = ElementTree.TreeBuilder(insert_comments=True)
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=builder))
        if root.tag != "cib" or root.find("configuration") is None:
            raise ElementTree.ParseError("it is no configuration of Pacemaker's")
    except ElementTree.ParseError as error:
        raise StepError(
            "Pacemaker's configuration can't be read", hint="see `cibadmin --query` on a balancer", detail=str(error)
        ) from error
    return root


def _section(cib: Element, name: str) -> Element:
    configuration = cib.find("configuration")
    assert configuration is not None  # _parse saw it
    found = configuration.find(name)
    return found if found is not None else ElementTree.SubElement(configuration, name)


def _raise_schema(target: Element, plan: Element) -> Iterator[str]:
    found, wanted = target.get("validate-with", ""), plan.get("validate-with", "")
    if (have := _schema(found)) and (need := _schema(wanted)) and have < need:
        target.set("validate-with", wanted)
        yield f"its schema is {found} instead of {wanted}"


def _schema(name: str) -> tuple[int, ...]:
    """``pacemaker-3.10`` as numbers; empty for what isn't numbered (``none``)."""
    match = re.fullmatch(r"pacemaker-(\d+)\.(\d+)", name)
    return (int(match[1]), int(match[2])) if match else ()


def _options(target: Element, plan: Element, kind: str) -> Iterator[str]:
    """Set the options of one section; they are found by their names, in whichever set a user's tool left them first."""
    wanted = {pair.get("name", ""): pair for pair in plan.iter("nvpair")}
    for holder in target.findall(kind):
        for pair in holder.findall("nvpair"):
            if pair.get("id") in OURS and pair.get("name", "") not in wanted:
                holder.remove(pair)
                yield f"{pair.get('name')} is {pair.get('value')}, which is not wanted any more"
    for name, pair in wanted.items():
        # A set with a rule is a user's, for the cases that the rule says.
        plain = [holder for holder in target.findall(kind) if holder.find("rule") is None]
        there = [found for holder in plain for found in holder.iter("nvpair") if found.get("name") == name]
        for found in there:
            if found.get("value") != pair.get("value"):
                yield f"{name} is {found.get('value')} instead of {pair.get('value')}"
                found.set("value", pair.get("value", ""))
        if not there:
            yield f"{name} is unset instead of {pair.get('value')}"
            _ours(target, next(holder for holder in plan.findall(kind) if pair in holder)).append(deepcopy(pair))


def _ours(section: Element, model: Element) -> Element:
    """The set of ``section`` with the id of ``model``, made where there is none."""
    for holder in section.findall(model.tag):
        if holder.get("id") == model.get("id"):
            return holder
    return ElementTree.SubElement(section, model.tag, dict(model.attrib))


def _elements(target: Element, plan: Element, living: Element) -> Iterator[str]:
    """Put resources or constraints of ours in place, and take away those that aren't wanted any more."""
    wanted = {element.get("id", ""): element for element in _children(plan)}
    found = {element.get("id", ""): element for element in _children(target)}
    for name, element in found.items():
        if name in OURS and name not in wanted:
            target.remove(element)
            yield f"{name} is there, which is not wanted any more"
    for name, element in wanted.items():
        if name not in found:
            yield f"{name} is missing"
            target.append(_with_operators(element, living))
        elif words := list(_differences(found[name], element, f"{name}: ", "")):
            yield from words
            place = list(target).index(found[name])
            target.remove(found[name])
            target.insert(place, _with_operators(element, living))


def _differences(found: Element, wanted: Element, where: str, label: str) -> Iterator[str]:
    """How two elements of one tag differ, in words that begin with ``where`` and call the element ``label``."""
    # What has a name is known by it: tools give it other ids.
    for key in sorted({*found.attrib, *wanted.attrib} - ({"id"} if wanted.tag in ("nvpair", "op") else set())):
        have, need = found.get(key, "unset"), wanted.get(key, "unset")
        if have != need:
            what = label if wanted.tag == "nvpair" and key == "value" else f"{label} {key}".lstrip()
            yield f"{where}{what} is {have} instead of {need}"
    there, needed = _by_key(found), _by_key(wanted)
    for name, child in there.items():
        if name not in needed and not _operators_own(child):
            yield f"{where}{_label(child)} is there, which is not wanted"
    for name, child in needed.items():
        if name in there:
            yield from _differences(there[name], child, where, _label(child))
        else:
            yield f"{where}{_label(child)} is missing"
    if wanted.tag == "group" and sorted(there) == sorted(needed) and list(there) != list(needed):
        yield f"{where}its members are in another order"


def _label(element: Element) -> str:
    return element.get("name") or element.get("id") or str(element.tag)


def _by_key(element: Element) -> dict[tuple[str, str, int], Element]:
    """Its children by what makes each the one it is: tag, name or id, and which of those alike it is."""
    found: dict[tuple[str, str, int], Element] = {}
    for child in _children(element):
        name = child.get("name", "") or child.get("id", "")
        found[child.tag, name, sum(key[:2] == (child.tag, name) for key in found)] = child
    return found


def _children(element: Element) -> list[Element]:
    """Its children without comments."""
    return [child for child in element if isinstance(child.tag, str)]


def _operators_own(element: Element) -> bool:
    """Whether it says nothing but how a user runs the resource for the time being."""
    if element.tag == "meta_attributes":
        return all(_operators_own(child) for child in _children(element))
    return element.tag == "nvpair" and element.get("name") in OPERATORS


def _with_operators(wanted: Element, living: Element) -> Element:
    """``wanted`` as it goes in: with what users set of its resources (``OPERATORS``), wherever these stand now."""
    made = deepcopy(wanted)
    there = {element.get("id"): element for element in living.iter() if element.tag in ("primitive", "clone", "group")}
    for element in list(made.iter()):
        if element.tag not in ("primitive", "clone", "group") or element.get("id") not in there:
            continue
        for holder in there[element.get("id")].findall("meta_attributes"):
            pairs = [pair for pair in holder.findall("nvpair") if pair.get("name") in OPERATORS]
            if pairs:
                _meta(element, holder).extend(deepcopy(pairs))
    return made


def _meta(element: Element, model: Element) -> Element:
    for holder in element.findall("meta_attributes"):
        if holder.get("id") == model.get("id"):
            return holder
    made = Element(model.tag, dict(model.attrib))
    element.insert(0, made)
    return made


def _ids(section: Element) -> set[str]:
    resources = ("primitive", "clone", "group", "bundle")
    return {element.get("id", "") for element in section.iter() if element.tag in resources}


def _dangling(constraints: Element, gone: set[str]) -> Iterator[str]:
    """Take away what names a resource that goes: Pacemaker would refuse the whole."""
    for element in _children(constraints):
        named = {element.get(key, "") for key in _REFERENCES}
        named |= {reference.get("id", "") for reference in element.iter("resource_ref")}
        if named & gone:
            constraints.remove(element)
            yield f"{element.get('id')} is about {', '.join(sorted(named & gone))}, which goes"


def _restarting(living: Element, plan: Element) -> Iterator[str]:
    """The resources that are there and get another agent or other parameters, or begin to lean on others of a group."""
    there = {element.get("id", ""): element for element in _section(living, "resources").iter("primitive")}
    leaning, will_lean = _leaning(_section(living, "resources")), _leaning(_section(plan, "resources"))
    for element in _section(plan, "resources").iter("primitive"):
        name = element.get("id", "")
        if (found := there.get(name)) is None:
            continue
        another = any(found.get(key) != element.get(key) for key in _RESTARTING)
        if another or _parameters(found) != _parameters(element) or name in will_lean - leaning:
            yield name


def _leaning(resources: Element) -> set[str]:
    """The members of groups that come after another one."""
    return {member.get("id", "") for group in resources.iter("group") for member in group.findall("primitive")[1:]}


def _parameters(element: Element) -> dict[str, str]:
    pairs: Iterable[Element] = (pair for held in element.findall("instance_attributes") for pair in held.iter("nvpair"))
    return {pair.get("name", ""): pair.get("value", "") for pair in pairs}


def _next_version(cib: Element) -> None:
    """One version on: Pacemaker takes a change that begins at the version that lives, and leads to a newer one."""
    cib.set("epoch", str(int(cib.get("epoch", "0")) + 1))
    cib.set("num_updates", "0")
