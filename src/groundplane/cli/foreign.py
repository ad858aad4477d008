"""A command whose words are mostly another program's: ours may stand before them, and that program's are left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typer.core import TyperCommand, TyperOption

if TYPE_CHECKING:
    from typer._click.core import Context  # the base of ``typer.Context``, which has no public name


def split(words: Sequence[str], ours: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """``words`` as what is ours and what is the other program's, which begins at the first word that isn't ours.

    ``ours`` has our options as they are written, and whether each takes a value. ``--`` ends ours early, and goes.
    """
    position = 0
    while position < len(words):
        word = words[position]
        if word == "--":
            return list(words[:position]), list(words[position + 1 :])
        if (length := _length(word, ours)) == 0:
            break
        position += length
    return list(words[:position]), list(words[position:])


def _length(word: str, ours: Mapping[str, bool]) -> int:
    """How many words the option of ours that begins with ``word`` has; 0: ``word`` isn't one of ours."""
    if word in ours:
        return 2 if ours[word] else 1
    name, equals, _ = word.partition("=")
    if word.startswith("--"):
        return int(bool(equals) and ours.get(name, False))
    if len(word) < 3 or word[0] != "-":
        return 0
    attached = ours.get(word[:2], False)  # -fcluster.yaml
    flags = all(ours.get(f"-{letter}") is False for letter in word[1:])  # -qv
    return int(attached or flags)


class Foreign(TyperCommand):
    """Parses our options as ever; its one argument gets the other program's words, whatever they look like.

    Click's own ways won't do: its parser takes an unknown ``-nfoo`` apart letter by letter and finds an ``-f`` in it.
    """

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        ours = dict.fromkeys(ctx.help_option_names, False)
        for parameter in self.params:
            if isinstance(parameter, TyperOption):
                takes_value = not (parameter.is_flag or parameter.count)
                ours |= dict.fromkeys((*parameter.opts, *parameter.secondary_opts), takes_value)
        own, others = split(args, ours)
        return super().parse_args(ctx, [*own, "--", *others])
