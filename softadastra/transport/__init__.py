"""Carries opaque frames between nodes, and knows nothing of what they mean.

Reading order:

- `links.py`: the port: links, what happens to them, and what a transport can be asked
- `zeromq.py`: the transport over ZeroMQ: one poller over everything below
- `listener.py`: the side that others dial: one ROUTER
- `dialled.py`: one link that we dial: addresses, a DEALER, its monitor
- `curve.py`, `gate.py`, `guard.py`: with keys: whom we dial, who comes in, and who may stay
- `callers.py`, `intake.py`, `arrivals.py`: who has connected and how many, who stuffs libzmq, and
  when there is anything to look at
- `proof.py`, `severing.py`: knocking at our own door, and ending a connection that came in
- `descriptors.py`: whether there are enough of them to begin with
- `sockets.py`: the options and limits that both kinds of socket share
- `addresses.py`: host names to numeric addresses, without blocking
- `probe.py`: why a connection could not be made
- `wakeup.py`: ending the poll from another thread
- `offline.py`: the transport of a node that has no network
"""
