"""A console log is copied, followed, and begun again when it is another one."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from groundplane.cli.follow import Log, copy_log
from groundplane.errors import StoreError


def test_what_is_added_comes_after(tmp_path: Path) -> None:
    path, out = tmp_path / "log", BytesIO()
    log = Log(path, out)
    assert not log.copy()
    path.write_bytes(b"one\n")
    assert log.copy()
    assert not log.copy()
    with path.open("ab") as file:
        file.write(b"two\n" * 50_000)
    assert log.copy()
    assert out.getvalue() == b"one\n" + b"two\n" * 50_000


def test_a_new_or_cut_file_is_begun_again(tmp_path: Path) -> None:
    path, out = tmp_path / "log", BytesIO()
    log = Log(path, out)
    path.write_bytes(b"first boot\n")
    log.copy()
    path.write_bytes(b"cut\n")
    log.copy()
    path.rename(tmp_path / "old")
    assert not log.copy()
    path.write_bytes(b"another file\n")
    log.copy()
    assert out.getvalue() == b"first boot\ncut\nanother file\n"


def test_following_goes_on_until_stopped(tmp_path: Path, virtual_time: Any) -> None:
    path, out = tmp_path / "log", BytesIO()
    path.write_bytes(b"one\n")

    async def watch() -> None:
        task = asyncio.create_task(copy_log(path, out, follow=True))
        for _ in range(3):
            await asyncio.sleep(10)
            with path.open("ab") as file:
                file.write(b"more\n")
        await asyncio.sleep(10)
        task.cancel()

    virtual_time(watch())
    assert out.getvalue() == b"one\nmore\nmore\nmore\n"


def test_no_log_is_an_error(tmp_path: Path, virtual_time: Any) -> None:
    with pytest.raises(StoreError, match="no console log"):
        virtual_time(copy_log(tmp_path / "none", BytesIO(), follow=True))
