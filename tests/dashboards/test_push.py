"""`ncore dashboards`: files, and a Grafana that they are sent to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ncore_ray.dashboards.files import all_dashboards, text_of
from tests.dashboards import grafana
from tests.dashboards.grafana import TOKEN
from tests.support.command import ncore


def test_export(tmp_path: Path) -> None:
    shown = ncore("dashboards", "export", tmp_path / "new")
    assert shown.exit_code == 0
    found = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert found == {name: text_of(board) for name, board in all_dashboards().items()}
    assert all(name in shown.stdout for name in found)


@pytest.mark.parametrize("prefix", ["", "/grafana"])
def test_push_creates_and_then_replaces(prefix: str) -> None:
    with grafana.running(prefix) as server:
        for _ in range(2):
            shown = ncore("dashboards", "push", "--url", server.url, "--token", TOKEN, "--folder", "Load balancers")
            assert shown.exit_code == 0, shown.output
        assert server.folders == {"load-balancers": "Load balancers"}
        assert set(server.dashboards) == {board["uid"] for board in all_dashboards().values()}
        assert set(server.versions.values()) == {2}
        assert f"{server.url}/d/ncore-overview/x" in shown.stdout
        sent = server.dashboards["ncore-health"]
        assert sent["panels"] == all_dashboards()["ncore-health.json"]["panels"]


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    with grafana.running() as server:
        assert ncore("dashboards", "push", "--url", server.url).exit_code == 0
        assert list(server.folders.values()) == ["ncore_ray"]


def test_a_wrong_token_is_told_in_a_sentence() -> None:
    with grafana.running() as server:
        refused = ncore("dashboards", "push", "--url", server.url, "--token", "wrong")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert refused.stderr == f"the Grafana at {server.url} refuses: Unauthorized\n"
        assert server.dashboards == {}


def test_nobody_at_the_url_is_told_in_a_sentence() -> None:
    with grafana.running() as server:
        url = server.url
    refused = ncore("dashboards", "push", "--url", url, "--token", TOKEN)
    assert (refused.exit_code, refused.stderr) == (2, f"no Grafana answers at {url} (ConnectionError)\n")


def test_what_is_no_url_is_told_in_a_sentence() -> None:
    refused = ncore("dashboards", "push", "--url", "grafana:3000", "--token", TOKEN)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("grafana:3000 is no URL of a Grafana")


def test_without_the_package_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grafana_api", None)
    refused = ncore("dashboards", "push", "--url", "http://127.0.0.1:1", "--token", TOKEN)
    sentence = "grafana-api is not installed: pip install 'ncore-ray[dashboards]'\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", sentence)
