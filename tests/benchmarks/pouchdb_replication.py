"""PouchDB, over LevelDB, replicated over HTTP between two processes of Node."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from .installed import program
from .measure import LeftOutError
from .workload import DEADLINE_SECONDS, writes

__all__ = ["replicate"]

SCRIPTS = Path(__file__).parent / "pouchdb"
PACKAGES = Path(__file__).parents[2] / "build" / "pouchdb" / "node_modules"


def replicate(directory: Path, count: int) -> float:
    """Replicate a database of `count` documents to an empty one; documents per second."""
    node = program("node", "install Node.js")
    if not PACKAGES.exists():
        raise LeftOutError(f"there is no {PACKAGES}: `make others` installs PouchDB where npm is")
    environment = {**os.environ, "NODE_PATH": str(PACKAGES)}
    pairs = directory / "pairs.json"
    pairs.write_text(json.dumps(writes(count)))
    served, local = directory / "served", directory / "local"
    served.mkdir()
    local.mkdir()
    server = subprocess.Popen(
        [node, str(SCRIPTS / "server.js"), str(served)],
        env=environment,
        cwd=served,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        if not port:
            raise RuntimeError("the server of PouchDB ended without a port")
        done = subprocess.run(
            [node, str(SCRIPTS / "replicate.js"), str(local), str(pairs), port],
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=True,
        )
    finally:
        server.kill()
        server.communicate()
    found = json.loads(done.stdout)
    if found["count"] != count:
        raise RuntimeError(f"PouchDB holds {found['count']} of {count} documents")
    return count / float(found["seconds"])
