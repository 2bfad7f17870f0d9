"""The REST API over the appliances of the Ray that runs here, and its token."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from ncore_ray.api.operations import NotFoundError
from ncore_ray.appliance import session
from ncore_ray.config.model import Configuration
from ncore_ray.errors import NcoreError
from ncore_ray.management.store import state_folder, store_path


class RunningAppliances:
    """The appliances of this Ray."""

    def names(self) -> list[str]:
        """Return their names."""
        return session.names()

    def ask(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of an appliance's management. Raises NcoreError; NotFoundError for an unknown appliance."""
        if name not in session.names():
            raise NotFoundError(f"there is no appliance {name}")
        return session.find(name).ask(method, *arguments)

    def deploy(self, configuration: Configuration) -> str:
        """Let a new appliance run, detached; return its name. Raises NcoreError."""
        name = configuration.appliance.name
        session.create(configuration, "the API", detached=True, store=store_path(name))
        return name

    def shut_down(self, name: str) -> list[str]:
        """End an appliance; return the actors that had to be killed. Raises NcoreError."""
        return session.find(name).take_down("api")


def token_file() -> Path:
    """Return the file that holds the token."""
    return state_folder() / "api-token"


def read_token() -> str:
    """Return the token: ``NCORE_API_TOKEN``, else that of the file, which is made when there is none.

    Raises:
        NcoreError: the file cannot be had, or is empty.
    """
    if token := os.environ.get("NCORE_API_TOKEN"):
        return token
    path = token_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            token = path.read_text().strip()
        else:
            token = secrets.token_urlsafe(32)
            with os.fdopen(descriptor, "w") as file:
                file.write(token + "\n")
    except OSError as error:
        raise NcoreError(f"the API's token in {path} cannot be had: {error.strerror}") from None
    if not token:
        raise NcoreError(f"{path} is empty, expected the API's token")
    return token
