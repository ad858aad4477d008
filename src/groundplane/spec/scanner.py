"""ruamel.yaml's scanner as a cluster file needs it.

Tabs are as YAML 1.2 has them: they may separate and trail, and never indent. ruamel.yaml takes every tab between tokens
for indentation, though the specification (1.2.2, sections 6.2 and 6.6) lets them stand between a key and its value,
before a comment, at a line's end and in lines that are empty otherwise.

Tags and versions, which no cluster file has, cost nothing and are refused as faults of the file.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ruamel.yaml.scanner import Scanner

# So much of a tag is kept: none is used, and ruamel.yaml takes seconds to read a long one.
LONGEST_TAG = 100


@cache
def scanner() -> type[Scanner]:
    """The scanner's class. Made when asked for: importing ruamel.yaml takes its time."""
    from ruamel.yaml.scanner import Scanner, ScannerError

    class OfClusterFiles(Scanner):
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

        def scan_tag(self) -> Any:
            token = super().scan_tag()
            handle, suffix = token.value
            token.value = (handle, suffix[:LONGEST_TAG])
            return token

        def scan_yaml_directive_value(self, start_mark: Any) -> Any:
            version = super().scan_yaml_directive_value(start_mark)
            if version not in ((1, 1), (1, 2)):
                raise ScannerError(None, None, "found incompatible YAML document", start_mark)
            return version

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

    return OfClusterFiles
