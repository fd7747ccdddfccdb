"""Two nodes in one program: write, look at the outbox, tick, and see the write arrive.

    python examples/two_node_sync.py

With `auto_tick=False` nothing leaves before `tick()`, so that each step can be watched. A
node of your own needs none of that: by default it sends by itself, at once.
"""

import sys
from pathlib import Path

from softadastra import Client, ClientOptions, Peer, SoftadastraError, SyncState


def show(title: str, state: SyncState) -> None:
    print(f"\n{title}")
    print(f"  outbox       : {state.outbox_size}")
    print(f"  queued       : {state.queued_count}")
    print(f"  in flight    : {state.in_flight_count}")
    print(f"  acknowledged : {state.acknowledged_count}")
    print(f"  failed       : {state.failed_count}")


def main(directory: Path = Path("data"), port_a: int = 4041, port_b: int = 4042) -> None:
    node_a_options = ClientOptions.persistent("node-a", directory / "node-a.wal")
    node_a_options.auto_flush = True
    node_a_options.auto_tick = False
    node_a_options.enable_transport = True
    node_a_options.transport_host = "127.0.0.1"
    node_a_options.transport_port = port_a
    node_a_options.enable_discovery = False

    node_b_options = ClientOptions.persistent("node-b", directory / "node-b.wal")
    node_b_options.auto_flush = True
    node_b_options.enable_transport = True
    node_b_options.transport_host = "127.0.0.1"
    node_b_options.transport_port = port_b
    node_b_options.enable_discovery = False

    with Client(node_a_options) as node_a, Client(node_b_options) as node_b:
        node_a.start_transport()
        node_b.start_transport()

        peer_b = Peer("node-b", "127.0.0.1", node_b.transport_port or port_b)
        try:
            node_a.connect(peer_b)
        except SoftadastraError as error:
            print("peer connection failed")
            print(f"  peer    : {peer_b.node_id}")
            print(f"  address : {peer_b.host}:{peer_b.port}")
            print(f"  error   : {error.message}")
        else:
            print("connected to node-b")

        written = node_a.put("message/1", "hello from node-a")
        if written.status == "unchanged":
            print("(the value is that of an earlier run: there is nothing to send)")
        show("before tick", node_a.sync_state())

        tick = node_a.tick()
        print("\nsync tick")
        print(f"  retried : {tick.retried_count}")
        print(f"  pruned  : {tick.pruned_count}")
        print(f"  batch   : {tick.batch_size}")

        # Convergence is eventual; this waits until node-b has made the write durable.
        node_a.wait_synced(timeout=10.0)
        show("after the acknowledgement", node_a.sync_state())
        print(f"\nnode-b has message/1 = {node_b.get('message/1')!r}")

        pruned = node_a.tick(prune=True).pruned_count
        print(f"\npruned {pruned}; node-a still has {node_a.get('message/1')!r}")
        show("after pruning", node_a.sync_state())


if __name__ == "__main__":
    try:
        main()
    except SoftadastraError as error:  # as of a port or a log that another process has
        sys.exit(f"error: {error.message}")
