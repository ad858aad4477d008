"""From text to plain values with the place of each: YAML 1.2 as a cluster file may use it.

ruamel.yaml reads the stream; this module only builds a tree from its events, because a tree built here can keep
duplicate keys, give each value its place, and stop a file that grows without bound before it has grown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, NoReturn

from groundplane.spec import syntax
from groundplane.spec.problem import InvalidCluster, Path, Problem, dotted, shown
from groundplane.spec.scanner import scanner

if TYPE_CHECKING:
    from ruamel.yaml.events import Event

MAX_DEPTH = 32
# A thousand machines with every key stated are about 20,000; aliases count as often as they are used, and the more
# the longer the texts are that they stand for.
MAX_NODES = 24_000
# So many characters cost as much as a value.
CHARACTERS = 200
# So many faults of a file's form are looked for: who has them has another kind of file.
MAX_FAULTS = 1_000
# So many documents are looked at behind the first, for telling what kind of file this is.
MAX_FOLLOWING = 8
# So many values of one key are looked at, two in a large file, each with all the rest of the file; who repeats a key
# more often hears of the rest when these are gone.
MAX_TIMES = 4

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

# YAML 1.2.2, section 10.3.2: the core schema. Anything else is text: `yes`, `010:20`, `52:54:00:12:34:56`.
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_OCTAL = re.compile(r"0o[0-7]{1,18}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,2})?")
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands and where its key does (line, column, from 1), and the word as it is written."""

    value: tuple[int, int]
    key: tuple[int, int]
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: ``data`` by the file's own keys, ``marks`` by path, ``problems`` of its form.

    Of a key that is given more than once the first value counts. ``others`` are the file with the second value of
    each such key, with the third, …; ``repeated`` says in each of these which keys it is about. ``following`` are
    the first few documents behind this one, which a cluster file has none of. ``cut`` is where reading ended in a file
    of too many values, if it did: what holds that isn't known whole.
    """

    data: dict[str, Value]
    marks: dict[Path, Mark]
    problems: tuple[Problem, ...]
    others: tuple[Document, ...] = ()
    repeated: tuple[Path, ...] = ()
    following: tuple[Document, ...] = ()
    cut: Path | None = None

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of ``path``, or of the nearest thing around it that the file has."""
        known = path
        while known and known not in self.marks:
            known = known[:-1]
        mark = self.marks.get(known)
        if mark is None:
            return (1, 1)
        return mark.key if key or known != path or mark.raw == "" else mark.value


@dataclass(frozen=True, slots=True)
class _Scalar:
    """A word, a number or a text; ``plain``: written without quotes. ``at`` is its place in all three."""

    at: tuple[int, int]
    text: str
    plain: bool

    @property
    def size(self) -> int:
        return 1 + len(self.text) // CHARACTERS


@dataclass(frozen=True, slots=True)
class _Sequence:
    """A list. ``size`` counts it and all below it, aliases followed, long texts by their length."""

    at: tuple[int, int]
    items: tuple[_Node, ...]
    size: int


@dataclass(frozen=True, slots=True)
class _Mapping:
    """Keys, each with every value it is given, and each of these with the place of its key."""

    at: tuple[int, int]
    entries: dict[str, list[tuple[_Node, tuple[int, int]]]]
    size: int


_Node = _Scalar | _Sequence | _Mapping


class _UnreadableError(Exception):
    """Nothing can be made of the file from ``problem`` on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class _Builder:
    text: str
    events: Iterator[Event]
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, _Node | None] = field(default_factory=dict)
    nodes: int = 0
    times: int = 1  # how often the most repeated key is given
    cut: Path | None = None  # where so much had been read that nothing more is

    def fail(self, at: tuple[int, int], message: str, instead: str) -> NoReturn:
        """Give up: what follows can't be understood. What was found until here is reported too."""
        raise _UnreadableError(Problem(*at, "", message, instead))

    def note(self, at: tuple[int, int], path: Path, message: str, instead: str) -> None:
        if len(self.problems) >= MAX_FAULTS:
            self.fail(at, f"the file has more than {MAX_FAULTS} faults of its form", "mend these first")
        self.problems.append(Problem(*at, dotted(path), message, instead))

    def refuse(self, root: _Node | None) -> NoReturn:
        """Give up on a first document that has no keys."""
        if root is None or (isinstance(root, _Scalar) and root.plain and root.text == ""):
            self.fail((1, 1), "the file is empty", "start from examples/minimal.yaml: `name: my-platform` is enough")
        remark = syntax.has_unexpected(self.text.split("\n", root.at[0])[root.at[0] - 1])
        self.fail(root.at, f"the file is not a list of `key: value` lines{remark}", "begin with `name: my-platform`")

    def node(self, event: Event, path: Path, depth: int) -> _Node:
        """Build the node that ``event`` begins."""
        from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent

        at = _place(event)
        if isinstance(event, AliasEvent):
            return self._alias(str(event.anchor), at, path)
        if depth > MAX_DEPTH:
            self.fail(at, f"the file nests deeper than {MAX_DEPTH} levels", "a cluster file needs five")
        self._spend(1, at, path)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = None
        tag = getattr(event, "tag", None)
        if tag is not None:
            word = str(tag).replace("tag:yaml.org,2002:", "!!")
            self.note(at, path, f"the tag {shown(word)} is not used here", "write the value alone")
        if isinstance(event, ScalarEvent):
            node: _Node = _Scalar(at, self._printable(str(event.value), at, path), event.style is None)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(at, path, depth)
        else:
            node = self._sequence(at, path, depth)
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def _spend(self, nodes: int, at: tuple[int, int], path: Path) -> None:
        """Account for ``nodes`` more. With the first too many all that is open is closed: what is right or wrong with
        the values until here can still be told."""
        self.nodes += nodes
        if self.nodes > MAX_NODES and self.cut is None:
            self.cut = path
            message = f"the file has more than {MAX_NODES} values; what follows line {at[0]} was not looked at"
            self.note((1, 1), (), message, "write fewer, and fewer aliases (*name)")

    def _alias(self, anchor: str, at: tuple[int, int], path: Path) -> _Node:
        node = self.anchors.get(anchor)
        if node is None:
            reason = "stands for itself" if anchor in self.anchors else "has no anchor before it"
            self.fail(at, f"the alias *{shown(anchor)} {reason}", "write the value itself")
        self._spend(node.size, at, path)
        return _Scalar(at, "", plain=True) if self.cut is not None else node

    def _printable(self, text: str, at: tuple[int, int], path: Path) -> str:
        """Half a surrogate pair, which only an escape can write, is no text in any encoding."""
        if _HALF.search(text):
            self.note(at, path, "the value holds half a character (a lone surrogate)", "write the character itself")
            return _HALF.sub("?", text)
        return text

    def _sequence(self, at: tuple[int, int], path: Path, depth: int) -> _Node:
        from ruamel.yaml.events import SequenceEndEvent

        items: list[_Node] = []
        while self.cut is None and not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, (*path, len(items)), depth + 1))
        return _Sequence(at, tuple(items), 1 + sum(item.size for item in items))

    def _mapping(self, at: tuple[int, int], path: Path, depth: int) -> _Node:
        from ruamel.yaml.events import MappingEndEvent

        entries: dict[str, list[tuple[_Node, tuple[int, int]]]] = {}
        size = 1
        while self.cut is None and not isinstance(event := next(self.events), MappingEndEvent):
            place = _place(event)
            key = self.node(event, path, depth + 1)
            text = key.text if isinstance(key, _Scalar) else None
            value = self.node(next(self.events), (*path, text or "?"), depth + 1)
            if text is None:
                self.note(place, path, "a key must be a word", "write `key: value`")
            elif text == "<<":
                self.note(place, path, "merge keys (<<) are not used here", "write the keys themselves")
            else:
                given = entries.setdefault(text, [])
                given.append((value, place))
                size += key.size + value.size
                if len(given) > 1:
                    self.times = max(self.times, len(given))
                    message = f"`{shown(text)}` is given twice, first in line {given[0][1][0]}"
                    self.note(place, (*path, text), message, "keep one of the two")
        return _Mapping(at, entries, size)


def parse(text: str, name: str) -> Document:
    """Parse ``text``. Raises ``InvalidCluster`` where nothing can be made of it; lesser problems are returned."""
    if (unprintable := syntax.unprintable(text)) is not None:
        raise InvalidCluster(name, [unprintable], text)
    builder = _Builder(text, _events(text))
    problems, roots = builder.problems, list[_Mapping]()
    try:
        for root in _documents(builder):
            roots.append(root)
    except _UnreadableError as error:
        # A whole document before it is looked at nevertheless.
        problems.append(error.problem)
        if not roots:
            raise InvalidCluster(name, problems, text) from error.__cause__
    first, *following = (_Reading(0).of(root) for root in roots)
    times = min(builder.times, MAX_TIMES, max(2, MAX_NODES // roots[0].size))
    others = tuple(_Reading(turn).of(roots[0]) for turn in range(1, times))
    return replace(first, problems=tuple(problems), others=others, following=tuple(following), cut=builder.cut)


def _events(text: str) -> Iterator[Event]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError

    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = scanner()
    try:
        yield from yaml.parse(text)
    except MarkedYAMLError as error:
        raise _UnreadableError(syntax.explained(error, text)) from error
    except (YAMLError, YAMLStreamError, ValueError, OverflowError) as error:
        # The last two: an escape for a number that is no character (\\UFFFFFFFF).
        problem = Problem(1, 1, "", "the file is not YAML", "check it with an editor that knows YAML")
        raise _UnreadableError(problem) from error


def _documents(builder: _Builder) -> Iterator[_Mapping]:
    """The first document, then the few behind it, which are a problem by being there: what is wrong in them isn't."""
    from ruamel.yaml.events import DocumentStartEvent, NodeEvent

    number = 0
    for event in builder.events:
        if isinstance(event, DocumentStartEvent):
            if number == 1:
                builder.note(_place(event), (), "a second document begins here", "one file describes one platform")
                builder = replace(builder, problems=[])
            if number > MAX_FOLLOWING:
                break
            if event.version not in (None, (1, 2)) or event.tags:
                builder.note((1, 1), (), "directives (%) are not used here", "remove the line; YAML 1.2 is understood")
        elif isinstance(event, NodeEvent):
            root = builder.node(event, (), 0)
            number += 1
            if isinstance(root, _Mapping):
                yield root
            elif number == 1:
                builder.refuse(root)
            if builder.cut is not None:
                break
    if number == 0:
        builder.refuse(None)


def _place(event: Event) -> tuple[int, int]:
    return (event.start_mark.line + 1, event.start_mark.column + 1)


class _Reading:
    """Reads the tree as plain values and notes their places. ``turn``: which value of a repeated key counts."""

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._marks: dict[Path, Mark] = {}
        self._repeated: list[Path] = []

    def of(self, root: _Mapping) -> Document:
        data = self._mapping(root, ())
        self._marks[()] = Mark(root.at, root.at)
        return Document(data, self._marks, (), repeated=tuple(self._repeated))

    def _plain(self, node: _Node, path: Path, key: tuple[int, int]) -> Value:
        if isinstance(node, _Scalar):
            self._marks[path] = Mark(node.at, key, node.text)
            return plain_scalar(node.text) if node.plain else node.text
        self._marks[path] = Mark(node.at, key)
        if isinstance(node, _Sequence):
            return [self._plain(item, (*path, number), item.at) for number, item in enumerate(node.items)]
        return self._mapping(node, path)

    def _mapping(self, node: _Mapping, path: Path) -> dict[str, Value]:
        data: dict[str, Value] = {}
        for word, given in node.entries.items():
            value, place = given[min(self._turn, len(given) - 1)]
            if 0 < self._turn < len(given):
                self._repeated.append((*path, word))
            data[word] = self._plain(value, (*path, word), place)
        return data


def plain_scalar(text: str) -> Value:
    """What an unquoted word is. Numbers too long for anything in this file stay text, as infinities do."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            return int(text[2:] if base != 10 else text, base)
    if _FLOAT.fullmatch(text) and isfinite(number := float(text)):
        return number
    return text
