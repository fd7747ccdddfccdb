"""Chat between terminals on one network: no server, no address, no configuration.

    python examples/lan_chat.py Ada      in one terminal,
    python examples/lan_chat.py Grace    in another one, on this machine or the next.

It needs the extra discovery. Who comes later gets what was said before, from anybody who is
still there. Everybody on the network can read along and join in, which `insecure=True` agrees to.
"""

import argparse
import secrets
import sys
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from threading import Thread

from softadastra import Client, ClientOptions, SoftadastraError
from softadastra.types import PeerState

LOOK_SECONDS = 0.1
"""How often to look for what others have said."""


def typed_lines() -> Iterator[str | None]:
    """Give what is typed, line by line, and None whenever it is time to look at the others."""
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line.strip())
        lines.put(None)

    Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=LOOK_SECONDS)
        except Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def show_news(node: Client, shown: set[str], present: set[str]) -> None:
    """Print who came and went, and what was said since the last look."""
    here = {peer.node_id for peer in node.peers() if peer.state is PeerState.CONNECTED}
    for node_id in sorted(here - present):
        print(f"* {node_id} is here", flush=True)
    for node_id in sorted(present - here):
        print(f"* {node_id} has left", flush=True)
    present.clear()
    present.update(here)
    for key, message in node.items("message/"):
        if key not in shown:
            shown.add(key)
            print(message, flush=True)


def main(name: str, room: str, host: str) -> None:
    node_id = f"{name}-{secrets.token_hex(3)}"
    options = ClientOptions.memory_only(node_id, cluster=f"chat {room}", insecure=True)
    with Client(options.with_discovery(host)) as node:
        node.start_transport()
        node.start_discovery()
        print(f"You are {node_id}. Type, and press Enter; Ctrl-D ends.", flush=True)
        shown: set[str] = set()
        present: set[str] = set()
        for line in typed_lines():
            if line:
                key = f"message/{time.time_ns():020}/{node_id}"
                node.put(key, f"{name}: {line}")
                shown.add(key)
            show_news(node, shown, present)
        node.wait_synced(timeout=2.0, peers="any")  # for what was said last


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Chat with everybody on this network.")
    arguments.add_argument("name", help="what others see")
    arguments.add_argument("--room", default="lobby", help="only those in the same one meet")
    arguments.add_argument("--host", default="0.0.0.0", help="the address to listen on")
    chosen = arguments.parse_args()
    try:
        main(chosen.name, chosen.room, chosen.host)
    except SoftadastraError as error:  # as of zeroconf, which is not installed
        sys.exit(f"error: {error.message}")
    except KeyboardInterrupt:
        pass
