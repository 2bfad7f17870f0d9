"""Every verb of the command line is an operation of the REST API, and the reverse, or there is a reason why not."""

from __future__ import annotations

from typing import Any, Final

import typer.main

from ncore_ray.api.operations import OPERATIONS
from ncore_ray.cli.main import app
from ncore_ray.config.language import USAGE

BOTH: Final = {
    "status": ["read_status"],
    "events": ["read_events"],
    "stat": ["read_counters", "read_history"],
    "flows": ["list_flows"],
    "explain": ["explain_flow"],
    "show": ["read_entries", "read_entry"],
    **{verb: ["make_changes"] for verb in USAGE},
    "apply": ["replace_configuration"],
    "diff": ["preview_configuration"],
    "history": ["list_versions", "read_version"],
    "rollback": ["roll_back"],
    "export": ["read_configuration"],
    "scale engines": ["scale_engines", "read_engines"],
    "drain": ["drain_appliance"],
    "shutdown": ["shut_down_appliance"],
    "deploy": ["deploy_appliance"],
    "config check": ["check_configuration"],
    "plan": ["check_configuration"],
}
ONLY_TYPED: Final = {
    "run": "an appliance that ends with the terminal",
    "top": "a picture of what stat says, again and again",
    "shell": "the other verbs, typed line by line",
    "api": "the REST API itself",
    "chaos": "loads and kills, from the machine where it is typed",
    "compile": "prepares the machine where it is typed",
    "metrics": "says where Ray's own pages are",
    "dashboards export": "writes files of the package",
    "dashboards push": "talks to Grafana",
}
ONLY_ASKED: Final = {"list_appliances": "`ncore status` shows all when no appliance is named"}


def _verbs(command: Any, before: str = "") -> set[str]:
    """Return all verbs below a command."""
    found: set[str] = set()
    for name, one in command.commands.items():
        found |= _verbs(one, f"{before}{name} ") if hasattr(one, "commands") else {before + name}
    return found


def test_every_verb_is_in_both() -> None:
    verbs = _verbs(typer.main.get_command(app))
    assert verbs - BOTH.keys() - ONLY_TYPED.keys() == set(), "verbs that the REST API does not have"
    assert (BOTH.keys() | ONLY_TYPED.keys()) - verbs == set(), "verbs that are no more"


def test_every_operation_is_a_verb() -> None:
    operations = {operation.name for operation in OPERATIONS}
    named = {name for names in BOTH.values() for name in names}
    assert operations - named - ONLY_ASKED.keys() == set(), "operations that cannot be typed"
    assert (named | ONLY_ASKED.keys()) - operations == set(), "operations that are no more"
