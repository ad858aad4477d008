"""Keeps secrets out of what programs say about the files that hold them."""

from __future__ import annotations

from groundplane.state.model import MachineState

SHORTEST = 6
"""Characters of a line below which it says nothing that could be a secret by itself."""


def hidden(state: MachineState, words: str) -> str:
    """``words`` without any line of any secret file."""
    secrets = {
        line.strip()
        for file in state.files
        if file.secret
        for line in file.content.decode(errors="replace").splitlines()
    }
    for secret in sorted(secrets, key=lambda line: (-len(line), line)):
        if len(secret) >= SHORTEST:
            words = words.replace(secret, "***")
    return words
