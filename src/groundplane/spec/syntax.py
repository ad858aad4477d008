"""YAML's own complaints in our words: what ruamel.yaml says is kept for those who know YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from groundplane.spec.problem import Problem, shown, unexpected

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

# All but YAML's printable characters (1.2.2, section 5.1). The three line breaks of older versions are left out:
# readers disagree on whether they end a line, so no line number behind one can be trusted.
_FORBIDDEN = re.compile("[^\t\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

# (words of the parser, what we say, what to write instead); the first that fits is used.
_KNOWN = (
    ("'\\t'", "a tab stands where only spaces may", "indent with spaces"),
    (
        "mapping values are not allowed",
        "a second `: ` in one line, or a line indented too far",
        "quote the value, or align the line",
    ),
    ("could not find expected ':'", "a line without a colon among keys", "write `key: value`"),
    ("'<stream end>'", "a bracket or brace is never closed", "close it"),
    ("unexpected end of stream", "a quote is never closed", "close it"),
    ("expected ',' or ']'", "a list in [ ] is not closed", "close it with ], and put commas between its items"),
    ("expected ',' or '}'", "a mapping in { } is not closed", "close it with }, and put commas between its entries"),
    ("expected <block end>", "this line does not belong to what stands above it", "align it with its neighbours"),
    ("cannot start any token", "a character that can't begin a value", "put the value in quotes"),
    ("expected the node content", "a value is missing or begins with a character it can't", "put the value in quotes"),
    ("found duplicate anchor", "an anchor (&name) is defined twice", "rename one of the two"),
    ("expected '<document start>'", "something stands before the first key", "begin with `name: my-platform`"),
    ("incompatible YAML", "directives (%) are not used here", "remove the line; YAML 1.2 is understood"),
    ("escape", "an escape in double quotes that YAML does not know", "use single quotes"),
)


def explained(error: MarkedYAMLError, text: str) -> Problem:
    """The problem a parser's or scanner's error stands for."""
    mark = error.problem_mark or error.context_mark
    words = " ".join(str(error.problem or error.context or "").split())
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    last = max(1, text.count("\n") + (not text.endswith("\n")))
    # Where something is missing, the parser stands at what follows it, often behind the last line: its context is
    # where that something belongs.
    if line > last or "end of stream" in words or "could not find" in words:
        start = error.context_mark or mark
        line, column = (start.line + 1, start.column + 1) if start is not None else (last, 1)
    line = min(line, last)
    remark = has_unexpected(text.split("\n", line)[line - 1])
    for needle, message, instead in _KNOWN:
        if needle in words:
            return Problem(line, column, "", f"{message}{remark} (YAML: {shown(words, 100)})", instead)
    return Problem(line, column, "", f"this is not YAML{remark}: {shown(words, 100)}", "mend the line")


def has_unexpected(line: str) -> str:
    """A remark on a line that is wrong: the character in it that one may not see, before its comment."""
    odd = unexpected(line.replace("\t", " ").partition(" #")[0])
    return f"; the line has {odd} in it" if odd else ""


def unprintable(text: str) -> Problem | None:
    """The first character that may not stand in a cluster file, if there is one."""
    match = _FORBIDDEN.search(text)
    if match is None:
        return None
    line = text.count("\n", 0, match.start()) + 1
    column = match.start() - text.rfind("\n", 0, match.start())
    return Problem(line, column, "", f"the character {unexpected(match[0])} may not stand in the file", "remove it")
