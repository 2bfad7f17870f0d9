"""Configuration files: YAML → `Configuration`, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ncore_ray.config.expect import Location, Source
from ncore_ray.config.model import Configuration
from ncore_ray.config.problems import ConfigurationError, Problem
from ncore_ray.config.translate import problems_of
from ncore_ray.config.tree import Dumper, Tree, read_tree

__all__ = ["ConfigurationError", "Problem", "dump", "from_data", "load", "parse", "to_data"]


def load(path: str | Path) -> Configuration:
    """Return the configuration in a file. Relative paths in it start from its folder.

    Raises `ConfigurationError`, which lists every problem, when there is no such file or it is wrong.
    """
    return parse(_text(Path(path)), str(path), Path(path).absolute().parent)


def parse(text: str, name: str = "configuration", folder: Path | None = None) -> Configuration:
    """Return the configuration that a YAML text holds.

    ``name`` stands for the file in reports; relative paths in the text start from ``folder``, if it is given.
    Raises `ConfigurationError`, which lists every problem (what has to fit together within one section comes to light
    when its keys are right one by one).
    """
    tree = read_tree(text, name)
    source = Source(folder)
    problems = list(tree.problems)
    try:
        configuration = Configuration.model_validate(tree.data, context=source)
    except ValidationError as error:
        problems += problems_of(error, tree, source)
        raise ConfigurationError(problems) from None
    if problems:
        raise ConfigurationError(problems)
    return configuration


def dump(configuration: Configuration) -> str:
    """Return the YAML text of a configuration, without what is as by default; it parses to an equal value."""
    data = to_data(configuration)
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)


def to_data(configuration: Configuration) -> dict[str, Any]:
    """Return a configuration as plain data in the form of YAML, without what is as by default."""
    data = configuration.model_dump(mode="json", exclude_defaults=True)
    for nic in data["nics"]:
        if nic.get("interface") == nic["name"]:
            del nic["interface"]
    return data


def from_data(data: dict[str, Any], folder: Path | None = None, *, apart: bool = False) -> Configuration:
    """Return the configuration that plain data in the form of YAML stand for.

    Relative paths start from ``folder``. With ``apart`` the sections need not fit to each other: they are of different
    times. Raises `ConfigurationError`, whose problems have keys but no lines.
    """
    source = Source(folder, apart)
    try:
        return Configuration.model_validate(data, context=source)
    except ValidationError as error:
        problems = problems_of(error, _tree_of(data), source)
        raise ConfigurationError(Problem("", 0, 0, one.key, one.text) for one in problems) from None


def _tree_of(data: dict[str, Any]) -> Tree:
    """Return data that stand in no file as a tree."""
    tree = Tree("", data)

    def visit(value: object, location: Location) -> None:
        tree.values[location] = (1, 1)
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, part in inner:
            visit(part, (*location, key))

    visit(data, ())
    return tree


def _text(path: Path) -> str:
    """Return the text of a file; `ConfigurationError` when it cannot be read."""
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        reason = f"the byte 0x{content[error.start]:02x} is not UTF-8, expected a text"
        raise ConfigurationError([Problem(str(path), line, column, "", reason)]) from None
    except FileNotFoundError:
        reason = "there is no such file"
    except IsADirectoryError:
        reason = "this is a folder, expected a file"
    except (OSError, ValueError) as error:
        reason = f"the file cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    raise ConfigurationError([Problem(str(path), 0, 0, "", reason)])
