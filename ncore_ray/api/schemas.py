"""JSON schemas of what the REST API takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]


def _object(properties: Mapping[str, Schema], *required: str, closed: bool = False) -> Schema:
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    if closed:
        schema["additionalProperties"] = False
    return schema


_TEXT: Final = {"type": "string"}
_SHORT: Final = {"type": "string", "maxLength": 1000}
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer"}
_FLAG: Final = {"type": "boolean"}
_TEXTS: Final = {"type": "array", "items": _TEXT}

OBJECT: Final[Schema] = {"type": "object"}
ENTRY: Final[Schema] = _object({"name": _TEXT}, "name")
ERROR: Final[Schema] = _object({"error": _TEXT, "problems": _TEXTS}, "error", "problems")
NAMES: Final[Schema] = _object({"appliances": _TEXTS}, "appliances")
CONFIGURATION: Final[Schema] = _object({"appliance": OBJECT, "nics": {"type": "array"}}, "appliance", "nics")
COMMENT: Final[Schema] = _object({"comment": _SHORT}, closed=True)
WISH: Final[Schema] = _object({"configuration": OBJECT, "comment": _SHORT}, "configuration", closed=True)
CHANGE: Final[Schema] = _object(
    {"commands": {"type": "array", "items": _SHORT, "minItems": 1, "maxItems": 1000}, "comment": _SHORT},
    "commands",
    closed=True,
)
ENGINES: Final[Schema] = _object(
    {"engines": {"type": "integer", "minimum": 1, "maximum": 64}, "comment": _SHORT}, "engines", closed=True
)
SCALING: Final[Schema] = _object(
    {"wanted": _WHOLE, "taking_flows": _WHOLE, "engines": {"type": "array", "items": OBJECT}, "settled": _FLAG},
    *("wanted", "taking_flows", "engines", "settled"),
)
CHANGED: Final[Schema] = _object(
    {
        "version": _WHOLE,
        "commands": _TEXTS,
        "acknowledged_ms": _NUMBER,
        "total_ms": _NUMBER,
        "late": {"type": "array", "items": _WHOLE},
    },
    *("version", "commands", "acknowledged_ms", "total_ms", "late"),
)
_LIST: Final = {"type": "array", "items": {"type": "object"}}
_PORT: Final = {"type": "integer", "minimum": 1, "maximum": 65_535}
ONLY_WISH: Final[Schema] = _object({"configuration": OBJECT}, "configuration", closed=True)
DEPLOYED: Final[Schema] = _object({"appliance": _TEXT}, "appliance")
KILLED: Final[Schema] = _object({"killed": _TEXTS}, "killed")
CHECKED: Final[Schema] = _object(
    {"valid": {"type": "boolean"}, "problems": _TEXTS, "plan": _LIST}, "valid", "problems", "plan"
)
HISTORY: Final[Schema] = _object({"period_s": _WHOLE, "samples": _LIST}, "period_s", "samples")
FLOWS: Final[Schema] = _object({"flows": _LIST}, "flows")
FLOW: Final[Schema] = _object(
    {"source": _SHORT, "source_port": _PORT, "destination": _SHORT, "destination_port": _PORT, "protocol": _SHORT},
    *("source", "source_port", "destination", "destination_port", "protocol"),
    closed=True,
)
DRAIN: Final[Schema] = _object({"seconds": {"type": "integer", "minimum": 0, "maximum": 20}}, closed=True)
LEFT: Final[Schema] = _object({"left": _WHOLE}, "left")
PREVIEW: Final[Schema] = _object({"commands": _TEXTS, "restart": _TEXTS}, "commands", "restart")
VERSION: Final[Schema] = _object(
    {
        "number": _WHOLE,
        "at": _NUMBER,
        "author": _TEXT,
        "comment": _TEXT,
        "commands": _TEXTS,
        "configuration": _TEXT,
    },
    *("number", "at", "author", "comment", "commands", "configuration"),
)
LIST_OF_VERSIONS: Final[Schema] = _object({"versions": {"type": "array", "items": VERSION}}, "versions")


def problems_of(value: object, schema: Schema, at: str = "") -> list[str]:
    """Return a sentence for everything in plain data that does not fit to a schema of this module."""
    kind, where = schema.get("type"), at or "the content"
    if kind == "object":
        return _problems_of_object(value, schema, at) if isinstance(value, dict) else [f"{where} is no object"]
    if kind == "array":
        return _problems_of_array(value, schema, at) if isinstance(value, list) else [f"{where} is no list"]
    if kind == "string":
        if not isinstance(value, str):
            return [f"{where} is no text"]
        return [f"{where} is too long"] if len(value) > schema.get("maxLength", len(value)) else []
    if isinstance(value, bool) or not isinstance(value, int):
        return [f"{where} is no whole number"]
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    if value not in schema.get("enum", (value,)):
        return [f"{where} is none of {', '.join(map(str, schema['enum']))}"]
    return [] if low <= value <= high else [f"{where} is not from {low} to {high}"]


def _problems_of_object(value: dict[str, Any], schema: Schema, at: str) -> list[str]:
    known, prefix = schema.get("properties", {}), f"{at}." if at else ""
    found = [f"{prefix}{key} is missing" for key in schema.get("required", ()) if key not in value]
    if schema.get("additionalProperties") is False:
        found += [f"{prefix}{key} is unknown" for key in value if key not in known]
    for key, inner in known.items():
        if key in value:
            found += problems_of(value[key], inner, f"{prefix}{key}")
    return found


def _problems_of_array(value: list[Any], schema: Schema, at: str) -> list[str]:
    low, high = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not low <= len(value) <= high:
        return [f"{at} has {len(value)} entries, expected {low} to {high}"]
    items = schema.get("items", {})
    return [text for number, one in enumerate(value) for text in problems_of(one, items, f"{at}[{number}]") if items]
