"""A lease on a file: whether nobody else can see what becomes of its content.

A log that was replaced may still be read: by a copy of our own, by another process that opened it
before, through a second name that a backup gave it. Who reads it sees it whole, so it may be
changed only when there is nobody.

Rules:

- The file has no name any more. A file without one gets none again (linkat(2), ENOENT).
- The system grants a write lease (fcntl(2), "Leases"): no other opening of it is there, in this
  process or another one, and no mapping. Who opens it from then on, as through /proc, waits until
  the lease ends; it ends when the file is closed.
- Its file system counts all openings. One above another does not: what is read past an overlay,
  in the directory that it has for changes, is not seen in it.
- Where the system knows no leases, has none for this file, or does not tell, there is none.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import Final

__all__ = ["take_lease"]

FILE_SYSTEMS: Final = frozenset({"ext4"})
"""Those directly on a device for which it was tried, and where freeing the room of a large file
holds up the syncs of others."""


def take_lease(descriptor: int) -> bool:
    """Keep everybody else from a file until it is closed; False: somebody may see it, now or later.

    Args:
        descriptor: open for writing. Copies of it, as a forked child has, are the same opening.
    """
    if sys.platform != "linux":
        return False
    try:
        if os.fstat(descriptor).st_nlink or file_system_of(descriptor) not in FILE_SYSTEMS:
            return False
        # Who opens it all the same has us told by a signal. SIGIO, which is the default, would end
        # the process; SIGURG is ignored unless somebody asked for it.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    return True


def file_system_of(descriptor: int) -> str | None:
    """Give the kind of file system that an open file is on; None: it is not to be seen.

    proc_pid_fdinfo(5) has the number of its mount, proc_pid_mountinfo(5) the kind: behind a hyphen,
    as before it there are fields in any number.
    """
    facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    mount = next((line.split()[1] for line in facts.splitlines() if line[:7] == "mnt_id:"), None)
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[0] == mount:
                return fields[fields.index("-") + 1]
    return None
