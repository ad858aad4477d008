"""The cluster file's JSON Schema, for editors. The shipped copy is ``cluster.schema.json`` beside this module.

Renew it after changing the model or the versions: ``make schema``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from groundplane.spec.model import ClusterSpec
from groundplane.spec.roles import Role

# A platform without one of these is none.
_NEEDED = (Role.GATEWAY, Role.BALANCER, Role.CONTROL_PLANE)
SHIPPED = Path(__file__).with_name("cluster.schema.json")


class _Schema(GenerateJsonSchema):
    """Names the dialect, which pydantic leaves out."""

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        whole = super().generate(schema, mode)
        return {"$schema": self.schema_dialect, **whole, "title": "groundplane cluster file"}


_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(\.{_BYTE}){{3}}"
_PATTERNS: Final[Mapping[str, str]] = {
    "ipv4": rf"^{_IPV4}$",
    "ipv4network": rf"^{_IPV4}/(3[0-2]|[12]?[0-9])$",
    "ipv4interface": rf"^{_IPV4}/(3[0-2]|[12]?[0-9])$",
    "ipv6network": r"^([23fF][0-9a-fA-F]{0,3}:)[0-9a-fA-F:]*:/64$",
}


def schema(versions: Sequence[str]) -> str:
    """The JSON Schema as text, ending in a newline: the same bytes for the same model and Kubernetes ``versions``."""
    whole = ClusterSpec.model_json_schema(by_alias=True, schema_generator=_Schema)
    whole["$defs"]["Kubernetes"]["properties"]["version"]["enum"] = list(versions)
    whole["$defs"]["MachineEntry"]["oneOf"] = [{"required": ["role"]}, {"required": ["roles"]}]
    _list_of_machines(whole)["allOf"] = [{"contains": _with_role(role)} for role in _NEEDED]
    return json.dumps(_with_patterns(whole), indent=2, ensure_ascii=False) + "\n"


def _list_of_machines(whole: JsonSchemaValue) -> dict[str, object]:
    forms: list[dict[str, object]] = whole["properties"]["machines"]["oneOf"]
    return next(form for form in forms if form.get("type") == "array")


def _with_role(role: Role) -> dict[str, object]:
    """A machine that has ``role``, in whichever way it is written."""
    alone = {"properties": {"role": {"const": role.value}}, "required": ["role"]}
    among = {"properties": {"roles": {"contains": {"const": role.value}}}, "required": ["roles"]}
    return {"anyOf": [alone, among]}


def _with_patterns(node: object) -> object:
    """Patterns for formats: editors warn of those that only Python knows, and pass over those they don't check."""
    if isinstance(node, list):
        return [_with_patterns(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _with_patterns(value) for key, value in node.items()}
    if node.get("format") in _PATTERNS and isinstance(node["format"], str):
        del kept["format"]
        kept["pattern"] = _PATTERNS[node["format"]]
    return kept
