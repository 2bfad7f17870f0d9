"""Install pip into an environment that has none: ``python .ci/first_pip.py ENVIRONMENT/bin/python``.

For Debian's Python without the package python3-venv. Takes pip's wheel from PyPI, compares its SHA-256 with the index,
and lets the wheel install itself. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

INDEX = "https://pypi.org/simple/pip/"
TIMEOUT_S = 30
STABLE = re.compile(r"pip-[0-9.]+-py3-none-any\.whl")


def fetch(url: str) -> bytes:
    """Return what lies at a URL."""
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+json, */*;q=0.1"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        content: bytes = answer.read()
    return content


def main(python: str) -> int:
    """Fetch, compare, install; return the exit status."""
    index = json.loads(fetch(INDEX))
    wheel = [file for file in index["files"] if STABLE.fullmatch(file["filename"]) and not file.get("yanked")][-1]
    content = fetch(urllib.parse.urljoin(INDEX, wheel["url"]))
    if hashlib.sha256(content).hexdigest() != wheel["hashes"]["sha256"]:
        sys.exit(f"{wheel['filename']} arrived damaged")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, wheel["filename"])
        path.write_bytes(content)
        line = [python, f"{path}/pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", str(path)]
        return subprocess.call(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
