"""Secrets to bytes and back, exactly. What comes out holds every key of a platform: keep it 0600 and nowhere else."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import fields

from groundplane.errors import StoreError
from groundplane.topology.model import KeyPair, Secret, Secrets

VERSION = 1

_HINT = "restore secrets.json from a backup: a platform can't be reached with other keys than its own"


def secrets_to_json(secrets: Secrets) -> bytes:
    """The same secrets give the same bytes; all values are base64, so that they come back byte by byte."""
    content = {name: _packed(getattr(secrets, name)) for name in _names()}
    return json.dumps({"version": VERSION, "secrets": content}, indent=2).encode() + b"\n"


def secrets_from_json(raw: bytes) -> Secrets:
    """Raises ``StoreError``, which never repeats the content, for anything ``secrets_to_json`` didn't write."""
    try:
        read: object = json.loads(raw)
    except (ValueError, RecursionError):
        # Without the cause: a decoder's error carries the whole document.
        raise StoreError("the platform's secrets are damaged: this is not JSON", hint=_HINT) from None
    if not isinstance(read, dict) or not isinstance(content := read.get("secrets"), dict):
        raise StoreError("the platform's secrets are damaged: their outer form is wrong", hint=_HINT)
    if read.get("version") != VERSION:
        raise StoreError(
            "the platform's secrets are of a version this groundplane doesn't know",
            hint="use the groundplane that wrote them, or a newer one",
        )
    if set(content) != set(_names()):
        raise StoreError("the platform's secrets are damaged: some are missing or unknown", hint=_HINT)

    def pair(name: str) -> KeyPair:
        return _pair(name, content[name])

    def single(name: str) -> Secret:
        return Secret(_bytes(name, content[name]))

    return Secrets(
        platform_ca=pair("platform_ca"),
        kubernetes_ca=pair("kubernetes_ca"),
        front_proxy_ca=pair("front_proxy_ca"),
        etcd_ca=pair("etcd_ca"),
        service_account=pair("service_account"),
        registry=pair("registry"),
        qnetd=pair("qnetd"),
        qdevice=pair("qdevice"),
        corosync_key=single("corosync_key"),
        pacemaker_key=single("pacemaker_key"),
        encryption_key=single("encryption_key"),
    )


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Secrets))


def _packed(value: KeyPair | Secret) -> str | dict[str, str]:
    if isinstance(value, Secret):
        return b64encode(value.reveal()).decode()
    return {
        "certificate": b64encode(value.certificate).decode(),
        "key": b64encode(value.key.reveal()).decode(),
    }


def _pair(name: str, value: object) -> KeyPair:
    if not isinstance(value, dict) or set(value) != {"certificate", "key"}:
        raise StoreError(f"the platform's secrets are damaged: {name} is no pair of keys", hint=_HINT)
    return KeyPair(_bytes(name, value["certificate"]), Secret(_bytes(name, value["key"])))


def _bytes(name: str, value: object) -> bytes:
    try:
        return b64decode(value if isinstance(value, str) else "?", validate=True)
    except ValueError:
        raise StoreError(f"the platform's secrets are damaged: {name} is not base64", hint=_HINT) from None
