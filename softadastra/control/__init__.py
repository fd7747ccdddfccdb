"""The control socket: how other processes of this machine speak with a node that is open.

A persistent client answers on a socket beside its log, to processes of its own user and of root.
What may be asked is what `Client` has, under the same names (`operations.py`); the server answers
from the client itself, and `RemoteNode` asks over the socket.

In reading order: `operations.py` what may be asked; `calls.py` each call's arguments and result;
`shapes.py` and `failures.py` values and errors as MessagePack and back; `frames.py` what goes over
the socket; `channel.py` a connection; `places.py` and `listening.py` where sockets are;
`credentials.py` who is at the other end; `server.py` the node's side; `connecting.py` and
`remote.py` the command's side, and `unreachable.py` what it raises; `watching.py` and
`remote_watch.py` a call that goes on.
"""

from __future__ import annotations

__all__: list[str] = []
