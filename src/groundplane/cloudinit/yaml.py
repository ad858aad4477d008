"""The few shapes of YAML that a seed needs, laid out for reading.

Text files appear as literal blocks, as a person would write them; whatever such a block can't carry unharmed goes
as base64 (cloud-init's ``encoding: b64``). A general emitter decides by itself where to fold and quote, so its
bytes change with its version; a seed's must not.
"""

from __future__ import annotations

import base64
import json
import re

# What a literal block carries unharmed: YAML's printable characters without the line breaks other than LF.
_TEXT = re.compile("[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@=+-]*(?: [A-Za-z0-9_./@=+-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def scalar(text: str) -> str:
    """``text`` on one line: bare where no reader could take it for anything else, else in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text)


def content(data: bytes, indent: int) -> list[str]:
    """The lines of ``encoding`` (where needed) and ``content`` for a file's bytes, keys at column ``indent``."""
    pad = " " * indent
    if not data:
        return [f'{pad}content: ""']
    text = _as_text(data)
    if text is None:
        encoded = base64.b64encode(data).decode()
        pieces = [encoded[at : at + 76] for at in range(0, len(encoded), 76)]
        return [f"{pad}encoding: b64", f"{pad}content: |", *(f"{pad}  {piece}" for piece in pieces)]
    lines = text.split("\n")
    return [f"{pad}content: |{_indicator(text)}", *(f"{pad}  {line}" if line else "" for line in _shown(lines))]


def _as_text(data: bytes) -> str | None:
    """The text, when a literal block gives exactly these bytes back; None otherwise."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if _TEXT.fullmatch(text) and text.strip() else None


def _indicator(text: str) -> str:
    """Block header: the indentation where the first line would mislead, then how the end is kept."""
    first = text.split("\n", 1)[0]
    indentation = "2" if not first.strip() or first[0] == " " else ""
    if not text.endswith("\n"):
        return indentation + "-"
    return indentation + ("+" if text.endswith("\n\n") else "")


def _shown(lines: list[str]) -> list[str]:
    """The block's lines: the text's last line break is the block's own."""
    return lines[:-1] if lines[-1] == "" else lines
