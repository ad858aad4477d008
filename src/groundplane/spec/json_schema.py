"""The cluster file's JSON Schema, for editors. The shipped copy is ``cluster.schema.json`` beside this module.

Renew it after changing the model: ``python -c 'from groundplane.spec.json_schema import write; write()'``.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from groundplane.spec.model import ClusterSpec

SHIPPED = Path(__file__).with_name("cluster.schema.json")


class _Schema(GenerateJsonSchema):
    """Names the dialect, which pydantic leaves out."""

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        whole = super().generate(schema, mode)
        return {"$schema": self.schema_dialect, **whole, "title": "groundplane cluster file"}


_PATTERNS = {
    "ipv4network": r"^[0-9]+(\.[0-9]+){3}/[0-9]+$",
    "ipv4interface": r"^[0-9]+(\.[0-9]+){3}/[0-9]+$",
    "ipv6network": r"^[0-9a-fA-F:]+/[0-9]+$",
}


def schema() -> str:
    """The JSON Schema as text, ending in a newline: the same bytes for the same model."""
    whole = ClusterSpec.model_json_schema(by_alias=True, schema_generator=_Schema)
    return json.dumps(_with_patterns(whole), indent=2, ensure_ascii=False) + "\n"


def _with_patterns(node: object) -> object:
    """Replace the formats that only Python has; editors warn of formats they don't know."""
    if isinstance(node, list):
        return [_with_patterns(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _with_patterns(value) for key, value in node.items()}
    if node.get("format") in _PATTERNS and isinstance(node["format"], str):
        del kept["format"]
        kept["pattern"] = _PATTERNS[node["format"]]
    return kept


def write() -> None:
    """Renew the shipped copy."""
    SHIPPED.write_text(schema(), encoding="utf-8")
