"""Logs of earlier versions, which every later one opens, and what must come of them.

    frames-1.wal        frames of three kinds, as a killed process leaves them: a torn one is last
    node-1.wal          a node's whole life: every record but those of a checkpoint
    checkpoint-1.wal    the same node when its log was compacted, and what it wrote then

A file that is here is never written again. `python -m tests.wal.golden` writes the next edition,
when `EDITION` of `story.py` was raised: a simulated cluster, whose nodes write with the product's
own engine, committer and log, plays a story that has every kind of record in it. Beside each log
stands as JSON what the node held when it closed it.
"""
