"""placeholder"""
from __future__ import annotations
def refuse_text(text: str, name: str) -> None:
    return None
def problems(document: object, versions: object) -> tuple[()]:
    return ()
