"""What pydantic found, in the words of somebody who writes cluster files. pydantic's own text never gets out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from pydantic_core import ErrorDetails

from groundplane.spec import keys
from groundplane.spec.document import plain_scalar
from groundplane.spec.model import ValueKind
from groundplane.spec.problem import Path, dotted, shown, unexpected
from groundplane.spec.remedy import Absent, Remedy, value_at, write

if TYPE_CHECKING:
    from groundplane.spec.document import Document, Value

# Longer words are no slip of the pen: nothing is guessed from them.
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Said:
    """What is wrong, what to write in any case, and better words where they hold."""

    message: str
    instead: str
    remedies: tuple[Remedy, ...] = ()


Mended = tuple[str, str | None]
"""What is wrong, and the value that was probably meant, if one can be guessed. It is offered only where it is right."""


def worded(path: Path, detail: ErrorDetails, raw: str | None, document: Document) -> Said:
    """What is wrong at ``path`` and what to write instead. ``raw`` is the value as the file has it, if it's a word."""
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path, document)
    kind = keys.kind_at(path)
    if detail["type"] == "missing" and raw is None:
        name = dotted(path[-1:])
        return Said(f"`{name}` is missing", f"add `{name}`: {kind.words}", _added(path, name, kind))
    value = detail["input"]
    if value is None:
        begin = "" if keys.is_required(path) or detail["type"] == "missing" else "remove the key, or "
        return _example(path, "the value is empty", kind, begin)
    if detail["type"] == "too_short":
        return _example(path, "the list is empty", kind)
    if isinstance(value, (dict, list)):
        form = "a mapping" if isinstance(value, dict) else "a list"
        if detail["type"] == "too_long":
            most = detail.get("ctx", {}).get("max_length")
            return Said(f"this list has more than {most} entries", "write fewer")
        return _example(path, f"{form} stands where {kind.words} belongs", kind)
    written = raw if raw is not None else str(value)
    if isinstance(value, str) and raw is not None and keys.accepts(path, raw):
        message = f"`{shown(raw)}` in quotes is text, not {kind.words}"
        return Said(message, "write it without quotes", (write(path, plain_scalar(raw), "take the quotes away"),))
    return _word(path, detail, written, kind, value)


def _word(path: Path, detail: ErrorDetails, written: str, kind: ValueKind, value: object) -> Said:
    """What is wrong with a word, a number or a text."""
    text = shown(written)
    if _is_host_name(kind) and text.isdecimal():
        message = f"`{text}` is all digits: it would be taken for an address"
        return _example(path, message, kind, lead="write a name with a letter in it")
    if detail["type"] == "string_type":
        return _not_text(path, text, value, kind)
    if odd := unexpected(written):
        return _odd(path, text, written, odd, kind)
    if detail["type"] in ("enum", "literal_error") and " or " in kind.words:
        return _choice(path, kind, text)
    for fits, repair in _REPAIRS:
        fit = len(written) <= _LONGEST or repair is _host_name
        if fit and fits(kind, written) and (mended := repair(written)) is not None:
            message, better = mended
            said = _example(path, message, kind)
            return said if better is None else Said(message, said.instead, (_better(path, better), *said.remedies))
    return _example(path, f"`{text}` is not {kind.words}", kind)


def _better(path: Path, word: str) -> Remedy:
    return write(path, plain_scalar(word), f"write {word}")


def _example(path: Path, message: str, kind: ValueKind, begin: str = "", lead: str = "") -> Said:
    """The kind's words, with its example where that would be right in this file; choices are their own example."""
    if kind.words.startswith("a stanza"):
        return Said(message, f"{begin}write {kind.example}")
    lead = lead or f"write {kind.words}"
    if kind.example in kind.words.split(" or "):
        return Said(message, begin + lead)
    words = f"{begin}{lead}, such as {kind.example}"
    if kind.example.startswith(("{", "[")):
        return Said(message, words if keys.kind_at(path).words.startswith("a list of machines") else begin + lead)
    return Said(message, begin + lead, (write(path, plain_scalar(kind.example), words),))


def _added(path: Path, name: str, kind: ValueKind) -> tuple[Remedy, ...]:
    return (write(path, plain_scalar(kind.example), f"add `{name}: {kind.example}`"),)


def _unknown_key(path: Path, document: Document) -> Said:
    message = f"there is no key `{dotted(path[-1:])}` " + (f"in {dotted(path[:-1])}" if len(path) > 1 else "here")
    if odd := unexpected(str(path[-1])):
        message += f": it has {odd} in it"
    homes, meant = _meant(document, path)
    if homes:
        return Said(message, "it belongs at " + " or ".join(f"'{place}'" for place in homes))
    if meant is None:
        return Said(message, f"possible here: {', '.join(keys.inside(path[:-1]))}")
    place = (*path[:-1], meant)
    if place in document.marks:
        line = document.place(place, key=True)[0]
        return Said(message, f"did you mean '{meant}'? It is in line {line} already: keep one of the two")
    return Said(message, f"did you mean '{meant}'?")


def _meant(document: Document, path: Path) -> tuple[tuple[str, ...], str | None]:
    """Where a wrong key at ``path`` belongs, or else which key it was probably meant to be."""
    value = value_at(document.data, path)
    plain: Value = None if isinstance(value, Absent) else value
    homes = keys.homes(path, plain)
    return homes, None if homes else keys.intended(keys.general(path[:-1]), str(path[-1]))


def meant_by(document: Document, path: Path) -> set[Path]:
    """The places in the file that the wrong key at ``path`` was probably meant to speak of."""
    homes, meant = _meant(document, path)
    if meant is not None:
        return {(*path[:-1], meant)}
    return {tuple(place.split(".")) for place in homes if "[]" not in place}


def _odd(path: Path, text: str, written: str, odd: str, kind: ValueKind) -> Said:
    """A character that looks like another, or can't be seen, is named."""
    said = _example(path, f"`{text}` is not {kind.words}: it has {odd} in it", kind)
    return Said(said.message, f"{said.instead}, in letters of ASCII", said.remedies)


def _not_text(path: Path, text: str, value: object, kind: ValueKind) -> Said:
    what = "true or false" if isinstance(value, bool) else "a number"
    if kind.words.startswith("an amount of memory"):
        # Guessed only where the other unit makes no sense: too few MiB for any role, more GiB than a lab has.
        number = value if isinstance(value, int) else 0
        meant = f"{text}GiB" if 2 <= number <= 64 else f"{text}MiB" if number >= 1536 else ""
        said = _example(path, f"`{text}` has no unit", kind)
        return Said(said.message, said.instead, (_better(path, meant), *said.remedies) if meant else said.remedies)
    if kind.words.startswith("a Kubernetes version"):
        return _example(path, f"`{text}` is not a whole version", kind, lead="write all three numbers")
    if not _is_host_name(kind):
        return _example(path, f"`{text}` is not {kind.words}", kind)
    message = f"`{text}` is read as {what}, where {kind.words} belongs"
    said = _example(path, message, kind)
    return Said(message, said.instead, (write(path, text, f"put it in quotes ('{text}') or write another"),))


def _is_host_name(kind: ValueKind) -> bool:
    return kind.words.startswith(("a host name", "a platform's name"))


def _choice(path: Path, kind: ValueKind, text: str) -> Said:
    """For a misspelt choice (``controlplane``, ``Worker``, ``control_plane``)."""
    choices = kind.words.split(" or ")
    message = f"`{text}` is none of {', '.join(choices)}"
    close = get_close_matches(text.lower().replace("_", "-"), choices, n=1)
    remedies = (write(path, close[0], f"did you mean '{close[0]}'?"),) if close else ()
    return Said(message, f"write {kind.words}", remedies)


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
    if "%" in text:
        return f"`{shown(text)}` is not a range: the part from % on names a card of one computer", text.partition("%")[
            0
        ] + "/64"
    return f"`{shown(text)}` has bits set behind its prefix: it is an address, not a range", str(meant)


def _version_of_ip(text: str) -> Mended | None:
    return (f"`{shown(text)}` is an IPv6 address, and this is about IPv4", None) if text.count(":") > 1 else None


# (which kinds it is for, what it makes of the text); the first that has something to say is used.
_REPAIRS: tuple[tuple[Callable[[ValueKind, str], bool], Callable[[str], Mended | None]], ...] = (
    (lambda kind, text: "IPv4" in kind.words and ":" in text, _version_of_ip),
    (lambda kind, text: "range" in kind.words and ("IPv6" in kind.words) == (":" in text) and "/" in text, _range),
    (lambda kind, _: kind.words.startswith("a whole number"), _whole_number),
    (lambda kind, _: kind.words == "true or false", _true_or_false),
    (lambda kind, _: kind.words.startswith("an amount of memory"), _memory),
    (lambda kind, _: _is_host_name(kind), _host_name),
    (lambda kind, _: kind.words.startswith("a DNS domain"), _domain),
    (lambda kind, _: kind.words.startswith("a MAC"), _mac),
)
