"""What pydantic found, in the words of somebody who writes cluster files. pydantic's own text never gets out."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network

from pydantic_core import ErrorDetails

from groundplane.spec import keys
from groundplane.spec.model import Kind
from groundplane.spec.problem import Path, dotted, shown

Words = tuple[str, str]
Mended = tuple[str, str | None]
"""What is wrong, and the value that was probably meant, if one can be guessed. It is offered only where it is right."""

intended_key = keys.intended


def worded(path: Path, detail: ErrorDetails, raw: str | None) -> Words:
    """What is wrong at ``path`` and what to write instead. ``raw`` is the value as the file has it, if it's a word."""
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path)
    kind = keys.kind_at(path)
    if detail["type"] == "missing":
        return f"`{dotted(path[-1:])}` is missing", f"add `{dotted(path[-1:])}: {kind.example}`"
    value = detail["input"]
    if value is None:
        return "the value is empty", f"{'' if keys.is_required(path) else 'remove the key, or '}write {_one(kind)}"
    if isinstance(value, (dict, list)):
        form = "a mapping" if isinstance(value, dict) else "a list"
        return f"{form} stands where {kind.words} belongs", f"write {_one(kind)}"
    written = raw if raw is not None else str(value)
    text = shown(written)
    if isinstance(value, str) and raw is not None and keys.accepts(path, raw):
        return f"`{text}` in quotes is text, not {kind.words}", "take the quotes away"
    if _is_host_name(kind) and text.isdecimal():
        return (
            f"`{text}` is all digits: it would be taken for an address",
            f"write a name with a letter in it, such as {kind.example}",
        )
    if detail["type"] == "string_type":
        return _not_text(path, text, value, kind)
    if detail["type"] in ("enum", "literal_error") and " or " in kind.words:
        return _choice(kind, text)
    for fits, repair in _REPAIRS:
        if fits(kind, written) and (mended := repair(written)) is not None:
            message, better = mended
            return message, f"write {better if better and keys.accepts(path, better) else _one(kind)}"
    return f"`{text}` is not {kind.words}", f"write {_one(kind)}"


def _unknown_key(path: Path) -> Words:
    message = f"there is no key `{dotted(path[-1:])}` " + (f"in {dotted(path[:-1])}" if len(path) > 1 else "here")
    if (meant := keys.intended(path)) is not None:
        return message, f"did you mean '{meant}'?"
    if (other := keys.elsewhere(path)) is not None:
        return message, f"did you mean '{other}'?"
    return message, f"possible here: {', '.join(keys.inside(path[:-1]))}"


def _one(kind: Kind) -> str:
    """ "one of" for choices, an example for the rest."""
    if kind.words.startswith("a stanza"):
        return kind.example
    return kind.words if kind.example in kind.words.split(" or ") else f"{kind.words}, such as {kind.example}"


def _not_text(path: Path, text: str, value: object, kind: Kind) -> Words:
    what = "true or false" if isinstance(value, bool) else "a number"
    if kind.words.startswith("an amount of memory"):
        # Guessed only where the other unit makes no sense: too few MiB for any role, more GiB than a lab has.
        number = value if isinstance(value, int) else 0
        meant = f"{text}GiB" if 2 <= number <= 64 else f"{text}MiB" if number >= 1536 else ""
        return f"`{text}` has no unit", f"write {meant if meant and keys.accepts(path, meant) else _one(kind)}"
    if kind.words.startswith("a Kubernetes version"):
        return f"`{text}` is not a whole version", f"write all three numbers, such as {kind.example}"
    if not _is_host_name(kind):
        return f"`{text}` is not {kind.words}", f"write {_one(kind)}"
    return f"`{text}` is read as {what}, where {kind.words} belongs", f"put it in quotes ('{text}') or write another"


def _is_host_name(kind: Kind) -> bool:
    return kind.words.startswith(("a host name", "a platform's name"))


def _choice(kind: Kind, text: str) -> Words:
    """For a misspelt choice (``controlplane``, ``Worker``, ``control_plane``)."""
    choices = kind.words.split(" or ")
    close = get_close_matches(text.lower().replace("_", "-"), choices, n=1)
    if not close:
        return f"`{text}` is none of {', '.join(choices)}", f"write {kind.words}"
    return f"`{text}` is none of {', '.join(choices)}", f"did you mean '{close[0]}'?"


def _whole_number(text: str) -> Mended | None:
    if re.fullmatch(r"[0-9]{1,9}\.0*", text):
        return f"`{shown(text)}` is not a whole number", text.split(".")[0]
    return None


def _true_or_false(text: str) -> Mended | None:
    meant = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}.get(text.lower())
    return (f"`{shown(text)}` is text in YAML 1.2, not true or false", meant) if meant else None


def _memory(text: str) -> Mended | None:
    match = re.fullmatch(r"([1-9][0-9]{0,6})\s*([kmgt])(i?)b?", text, re.IGNORECASE)
    if match is None or match[2].lower() not in "mg":
        return None
    return f"`{shown(text)}` is not an amount of memory as it is written here", f"{match[1]}{match[2].upper()}iB"


def _host_name(text: str) -> Mended | None:
    if len(text) > 63:
        return f"`{shown(text)}` has {len(text)} characters, a host name at most 63", None
    better = re.sub(r"[_\s.]+", "-", text.strip().lower()).strip("-")
    if better != text and re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", better):
        return f"`{shown(text)}` is not a host name (lower-case letters, digits and inner hyphens)", better
    return None


def _domain(text: str) -> Mended | None:
    better = text.strip().strip(".").lower().replace("_", "-")
    if better != text and re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", better):
        return f"`{shown(text)}` is not a DNS domain (lower-case host names joined by dots)", better
    return None


def _mac(text: str) -> Mended | None:
    digits = re.sub(r"[-:.\s]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        return None
    return f"`{shown(text)}` is not a MAC address with colons", ":".join(re.findall("..", digits))


def _range(text: str) -> Mended | None:
    family: type[IPv4Network] | type[IPv6Network] = IPv6Network if ":" in text else IPv4Network
    try:
        meant = family(text, strict=False)
    except ValueError:
        return None
    return f"`{shown(text)}` has bits set behind its prefix: it is an address, not a range", str(meant)


def _version_of_ip(text: str) -> Mended | None:
    return (f"`{shown(text)}` is an IPv6 address, and this is about IPv4", None) if text.count(":") > 1 else None


# (which kinds it is for, what it makes of the text); the first that has something to say is used.
_REPAIRS: tuple[tuple[Callable[[Kind, str], bool], Callable[[str], Mended | None]], ...] = (
    (lambda kind, text: "IPv4" in kind.words and ":" in text, _version_of_ip),
    (lambda kind, text: "range" in kind.words and ("IPv6" in kind.words) == (":" in text) and "/" in text, _range),
    (lambda kind, _: kind.words.startswith("a whole number"), _whole_number),
    (lambda kind, _: kind.words == "true or false", _true_or_false),
    (lambda kind, _: kind.words.startswith("an amount of memory"), _memory),
    (lambda kind, _: _is_host_name(kind), _host_name),
    (lambda kind, _: kind.words.startswith("a DNS domain"), _domain),
    (lambda kind, _: kind.words.startswith("a MAC"), _mac),
)
