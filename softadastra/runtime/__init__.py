"""What makes the pure core live: clocks, threads, the log and the transport around the engine.

- `commit.py`, `log_port.py`: decide, make durable, evolve: the only way to change state
- `reactor.py`: the one thread that owns the transport: one poller, one deadline
- `events.py`: notices as structured log events
"""
