"""Tabs as YAML 1.2 has them: they may separate and trail, and never indent.

ruamel.yaml takes every tab between tokens for indentation, though the specification (1.2.2, sections 6.2 and 6.6) lets
them stand between a key and its value, before a comment, at a line's end and in lines that are empty otherwise.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ruamel.yaml.scanner import Scanner


@cache
def scanner() -> type[Scanner]:
    """ruamel.yaml's scanner that knows such tabs. Made when asked for: importing ruamel.yaml takes its time."""
    from ruamel.yaml.scanner import Scanner

    class WithTabs(Scanner):
        # Asked for a hundred times per word, and looked up each time by what it replaces.
        @cached_property
        def reader(self) -> Any:
            return super().reader

        def need_more_tokens(self) -> bool:
            return not (self.tokens and not self.possible_simple_keys) and super().need_more_tokens()

        def scan_to_next_token(self) -> None:
            super().scan_to_next_token()
            while self.reader.peek() == "\t" and self._separates():
                while self.reader.peek() in " \t":
                    self.reader.forward()
                super().scan_to_next_token()

        def _separates(self) -> bool:
            """Whether the blanks that begin here indent nothing: they follow a word, or nothing follows them."""
            length = 1
            while self.reader.peek(length) in " \t":
                length += 1
            if self.reader.peek(length) in "#\n\0":
                return True
            begin = self.reader.pointer - self.reader.column
            # Behind `- `, `? ` and `: ` alone a block would begin, and its lines be indented by this tab.
            return bool(self.reader.buffer[begin : self.reader.pointer].strip(" \t-?:"))

    return WithTabs
