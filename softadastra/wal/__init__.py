"""The write-ahead log: what a node has accepted, in the order in which it did.

It carries opaque payloads and knows nothing of keys, peers or sync. Reading order:

    disk.py       the port to files, and the real disk behind it; all file access is here
    frames.py     the bytes: the file header and the frame, drawn and encoded
    lock.py       one log, one process
    log_file.py   opening or creating the file, and whose it is
    recovery.py   reading a log that may end anyhow; what is torn and what is damaged
    salvaging.py  reading what is left of a damaged log
    log.py        the log itself: open, replay, append, sync, close

`docs/wal-format.md` states the format and the recovery rules for other programs.
"""

from __future__ import annotations

from softadastra.wal.disk import Disk, File, OsDisk
from softadastra.wal.frames import Header
from softadastra.wal.log import WriteAheadLog
from softadastra.wal.recovery import TornTail

__all__ = ["Disk", "File", "Header", "OsDisk", "TornTail", "WriteAheadLog"]
