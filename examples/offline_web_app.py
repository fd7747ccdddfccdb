"""A shopping list in the browser that works without a network, and catches up when there is one.

    python examples/offline_web_app.py kitchen --web 8001 --port 4041 --peer phone@127.0.0.1:4042
    python examples/offline_web_app.py phone --web 8002 --port 4042 --peer kitchen@127.0.0.1:4041

Open http://127.0.0.1:8001 and http://127.0.0.1:8002. End one of them with Ctrl-C and change the
list in the other one: nothing is slower, nothing fails. Start it again, and it has the changes.

It needs Flask (pip install flask). A node is one process: a production server runs it with one
process and many threads, as `gunicorn --workers 1 --threads 8` does.
"""

import argparse
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from flask import Flask, redirect, render_template_string, request
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from softadastra import Client, ClientOptions, SoftadastraError
from softadastra.types import PeerState

PAGE = """\
<!doctype html>
<title>{{ name }}</title>
<h1>What to buy</h1>
<ul>
{% for key, item in items %}
  <li>
    <form method="post" action="/bought">
      {{ item.text }} (from {{ item.by }})
      <button name="key" value="{{ key }}">bought</button>
    </form>
  </li>
{% endfor %}
</ul>
<form method="post" action="/items"><input name="text" autofocus> <button>add</button></form>
{% for peer in peers %}
<p>{{ peer.node_id }} is {{ peer.state }}; {{ peer.lag }} changes wait for it</p>
{% endfor %}
"""


def web_app(node: Client) -> Flask:
    """Make the pages. Each request reads and writes the node of this process, and no network."""
    app = Flask(__name__)

    @app.get("/")
    def show() -> str:
        return render_template_string(
            PAGE,
            name=node.options.node_id,
            items=node.items("item/"),
            peers=[peer for peer in node.peers() if peer.state is not PeerState.SUSPENDED],
        )

    @app.post("/items")
    def add() -> Response:
        text = request.form["text"].strip()
        if text:
            # In the order of time; two nodes that add at the same moment do not collide.
            key = f"item/{time.time_ns():020}-{secrets.token_hex(4)}"
            node.put(key, {"text": text, "by": node.options.node_id})
        return redirect("/", 303)

    @app.post("/bought")
    def bought() -> Response:
        # False when somebody else has bought it meanwhile, which is just as well.
        node.remove(request.form["key"])
        return redirect("/", 303)

    return app


def main(name: str, web_port: int, port: int, peers: Sequence[str], directory: Path) -> None:
    options = ClientOptions.persistent(name, directory / f"{name}.wal", peers=peers)
    with Client(options.with_local_transport(port)) as node:
        node.start_transport()
        server = make_server("127.0.0.1", web_port, web_app(node), threaded=True)
        print(f"{name}: http://127.0.0.1:{server.server_port}, Ctrl-C ends", flush=True)
        server.serve_forever()  # returns at Ctrl-C


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="A shopping list that works offline.")
    arguments.add_argument("name", help="of this node, unique among its peers")
    arguments.add_argument("--web", type=int, default=8001, help="the port for browsers")
    arguments.add_argument("--port", type=int, default=4041, help="the port for peers")
    arguments.add_argument("--peer", action="append", default=[], metavar="ID@HOST:PORT")
    arguments.add_argument("--data", type=Path, default=Path("data"), help="where the log is kept")
    chosen = arguments.parse_args()
    try:
        main(chosen.name, chosen.web, chosen.port, chosen.peer, chosen.data)
    except SoftadastraError as error:  # as of a port or a log that another process has
        sys.exit(f"error: {error.message}")
    except KeyboardInterrupt:
        pass
