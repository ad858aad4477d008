"""Reads HAProxy's ``show stat`` (comma-separated, first line ``# pxname,svname,…``; management guide, 9.1)."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from groundplane.verify.condition import NotYet


@dataclass(frozen=True, slots=True)
class Server:
    """How HAProxy sees one API server. ``status`` is its word (``UP``, ``DOWN``, ``UP 1/2``, ``MAINT``), ``check``
    the last health check's result (``L7OK``, ``L6RSP``, …)."""

    name: str
    status: str
    check: str

    @property
    def up(self) -> bool:
        # "UP 1/2" is on its way down: it failed a check.
        return self.status == "UP"


def servers(text: str, backend: str) -> tuple[Server, ...]:
    """Return the servers of ``backend`` in HAProxy's order; NotYet when ``text`` is no statistics."""
    lines = text.removeprefix("# ").splitlines()
    rows = list(csv.DictReader(lines))
    if not rows or not {"pxname", "svname", "status", "check_status"} <= set(rows[0]):
        raise NotYet("HAProxy's statistics can't be read")
    return tuple(
        Server(name=row["svname"], status=row["status"], check=row["check_status"])
        for row in rows
        if row["pxname"] == backend and row["svname"] not in ("FRONTEND", "BACKEND")
    )
