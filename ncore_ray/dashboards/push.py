"""The dashboards sent to a Grafana by its HTTP API, through the package grafana-api."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from ncore_ray.dashboards.files import all_dashboards
from ncore_ray.errors import NcoreError

_MISSING: Final = "grafana-api is not installed: pip install 'ncore-ray[dashboards]'"
_NOT_THERE: Final = 404
_ANSWER_S: Final = 10.0


def push_all(url: str, token: str, folder: str) -> list[str]:
    """Create or replace all dashboards in a folder of the Grafana at ``url``; return their URLs. Raises NcoreError."""
    grafana = _grafana(url, token)
    from grafana_api.grafana_api import GrafanaException
    from requests.exceptions import RequestException

    try:
        uid = _folder(grafana, folder)
        return [urljoin(url, _push(grafana, board, uid)) for board in all_dashboards().values()]
    except GrafanaException as error:
        raise NcoreError(f"the Grafana at {url} refuses: {error.message}") from None
    except RequestException as error:
        raise NcoreError(f"no Grafana answers at {url} ({type(error).__name__})") from None


def _grafana(url: str, token: str) -> Any:
    try:
        from grafana_api import GrafanaFace
    except ImportError:
        raise NcoreError(_MISSING) from None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NcoreError(f"{url} is no URL of a Grafana: expected http://HOST:PORT or https://HOST")
    path = parts.path.strip("/")
    return GrafanaFace(
        auth=token,
        host=parts.netloc.rpartition("@")[2],
        url_path_prefix=f"{path}/" if path else "",
        protocol=parts.scheme,
        timeout=_ANSWER_S,
    )


def _folder(grafana: Any, title: str) -> str:
    """Return the id of the folder of a title; it is made if it is not there."""
    from grafana_api.grafana_api import GrafanaClientError

    uid = re.sub(r"[^a-z0-9-]+", "-", title.lower()).strip("-") or "ncore-ray"
    try:
        found: dict[str, Any] = grafana.folder.get_folder(uid)
    except GrafanaClientError as error:
        if error.status_code != _NOT_THERE:
            raise
        found = grafana.folder.create_folder(title, uid)
    return str(found["uid"])


def _push(grafana: Any, board: dict[str, Any], folder: str) -> str:
    own = {key: value for key, value in board.items() if key != "version"}  # Grafana counts them
    message = {"dashboard": {**own, "id": None}, "folderUid": folder, "overwrite": True}
    answer: dict[str, Any] = grafana.dashboard.update_dashboard(message)
    return str(answer["url"])
