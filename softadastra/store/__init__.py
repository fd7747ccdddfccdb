"""The replicated state, as pure values: what a node holds, and how two states merge.

Nothing in here knows of time, disks, sockets, threads or logs. Reading order:

- `origins.py`: who writes: (node id, incarnation), interned to a small number
- `clock.py`: hybrid logical clock stamps
- `dots.py`: sets of write numbers: a base and the ranges above it
- `siblings.py`: the state of one key, the total order, the merge rule
- `index.py`: per origin, the key of each write that this node has
- `lives.py`, `splitting.py`: telling the history of an origin from that of a copy of its log
- `histories.py`: these of all origins together
- `keys.py`: the keys in order, for prefix scans
- `changes.py`: what changes it: decided, made durable, evolved
- `replica.py`: all of it together: entries, digest, `have`; evolve
- `writes.py`: deciding local writes
- `doubling.py`: one number that stands for two writes
- `adopting.py`: a replica again, with no more than is known for certain
- `outliving.py`: what a peer's batch supersedes without saying so
- `values.py`: what can be stored, packed and checked
"""
