"""The OpenAPI description of the REST API, made from the table of its operations."""

from __future__ import annotations

import re
from typing import Any, Final

from ncore_ray import __version__
from ncore_ray.api.operations import OPERATIONS, Operation
from ncore_ray.api.schemas import ERROR

_ERRORS: Final = {
    "400": "The request is not what the schema says",
    "401": "No token, or a wrong one",
    "404": "There is no such appliance, version, section or entry",
    "409": "The running appliance cannot take it: it needs a restart, or there is no room, or somebody was quicker",
    "422": "The configuration, or a command, is wrong; each problem is a sentence",
    "503": "The appliance does not answer",
}


def description() -> dict[str, Any]:
    """Return the whole description (OpenAPI 3.0)."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.0.3",
        "info": {"title": "ncore", "version": __version__, "description": "Operates appliances: as `ncore` does."},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": ERROR},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": {"200": {"description": "Done", "content": _json(operation.answer)}, **_errors()},
    }
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": _json(operation.body)}
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    in_query = [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in operation.query.items()]
    return in_path + in_query


def _errors() -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Error"}
    return {status: {"description": text, "content": _json(reference)} for status, text in _ERRORS.items()}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
