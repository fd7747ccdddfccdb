"""The replication engine, as pure code: it decides what to send and what to accept.

No socket, file, clock, thread, randomness or log call in here: time is an argument, output is
a value. Writing is in two steps, so that a failed disk leaves no trace:

    decide    an input and the state give a record; nothing changes
    (the driver makes the record durable)
    evolve    the record changes the state
    poll      the state gives the messages that may leave now

Messages are made from evolved state only, so none can speak of what is not durable here.
Reading order:

- `messages.py`: what nodes say to each other; `wire.py` and `parsing.py` have its bytes
- `records.py`, `replay.py`: what the log holds, and its bytes
- `members.py`: the peers that were ever accepted
- `session.py`: one connection to one peer: cursors, window, retry timers
- `batches.py`: choosing what a peer lacks
- `delivery.py`: what leaves for whom, and when
- `connections.py`, `greeting.py`: which connections there are, and who is let in
- `membership.py`, `collection.py`: who holds back what may be let go
- `snapshots.py`: for who lacks what was let go
- `resolution.py`: conflicts that settle themselves
- `outbox.py`: the arithmetic of sync_state()
- `histories.py`, `identity.py`: what to do when a log was copied, restored or wiped
- `salvage.py`: a state from a log that lacks records
- `answers.py`: what a connection has to say beside data
- `reception.py`: what peers say, taken in
- `engine.py`: inputs in, records and messages out
- `dialing.py`: when to dial whom
- `notices.py`: what there is to tell
"""
