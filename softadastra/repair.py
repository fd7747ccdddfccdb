"""Saving what is left of a damaged log, in a new file; the damaged one stays as it is.

The new file holds the state that `sync/salvage.py` gives, as a checkpoint under an incarnation of
its own: a node that opens it takes nothing for its own that it may have lost, and its peers send
what is missing.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from softadastra.errors import AlreadyExistsError, InternalError
from softadastra.inspection import Fault, Reading, read_log
from softadastra.store.policies import Policies
from softadastra.sync.checkpoint import checkpoint
from softadastra.sync.engine import Engine
from softadastra.sync.records import RecordEncoder
from softadastra.sync.salvage import LostNumbers, Missing, Salvage, Unusable
from softadastra.sync.settings import EngineOptions
from softadastra.wal.disk import OsDisk, replace_file
from softadastra.wal.frames import (
    FILE_HEADER_BYTES,
    FRAME_OVERHEAD_BYTES,
    KIND_MARK,
    Header,
    encode_file_header,
    encode_frame,
)
from softadastra.wal.lock import LockFile
from softadastra.wal.log_file import check_owner, read_log_file
from softadastra.wal.recovery import is_unfinished
from softadastra.wal.salvaging import Ending, Frame, Gap, walk

__all__ = ["Damage", "Repaired", "repair"]


class Damage(NamedTuple):
    """One place where frames are lost."""

    gap: Gap
    numbers: list[LostNumbers]
    """Writes of this node that were in them, as far as the next ones tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What became of a damaged log."""

    source: Path
    target: Path | None
    """The new file; None: nothing was damaged, and none was made."""
    node_id: str
    damages: list[Damage]
    unusable: list[Fault]
    """Records that are intact, and that nothing could be made of."""
    frames: int
    """Intact ones."""
    mended: int
    """Of these, those whose own CRC is damaged and nothing else."""
    is_cut: bool
    """Whether it ends within the checkpoint that it begins with."""
    torn_bytes: int
    keys: int
    renamed: int
    """Writes that go on under new numbers, since it is not certain what they were called."""
    incarnation: int
    size_bytes: int


def repair(
    source: Path, target: Path, *, node_id: str, policies: Policies, options: EngineOptions
) -> Repaired:
    """Save what is left of a damaged log in a new file.

    Args:
        source: the log; nothing of it is changed.
        target: the new file.
        node_id: whose log it has to be.
        policies: what happens to concurrent writes.
        options: of the engine.

    Raises:
        NotFoundError: there is no log.
        AlreadyExistsError: there is a file at the target.
        StoreLockedError: a node has the log open.
        StoreError: it is another node's log, of another format, or no log at all.
        WalCorruptionError: its header is damaged, so it is not known whose it is.
        StorageError: the system refused; nothing is left at the target.
    """
    disk = OsDisk()
    file, header, seed = read_log_file(disk, source)
    lock = LockFile(source, disk=disk)
    with closing(file):
        check_owner(source, header.node_id, node_id)
        lock.acquire(node_id=header.node_id)
        try:
            if disk.exists(target):
                raise AlreadyExistsError(
                    f"{target} exists: name another file with --output, or remove it",
                    path=str(target),
                )
            salvage = Salvage(
                header.node_id,
                header.incarnation,
                is_rewritten=header.is_rewritten,
                policies=policies,
                options=options,
                draw=draw,
            )
            found = Found(header, salvage)
            found.read(walk(file, seed))
            salvaged = salvage.result(draw())
            is_damaged = bool(found.is_cut or found.gaps or found.mended or salvaged.unusable)
            new = Header(
                node_id=header.node_id,
                incarnation=salvaged.engine.replica.origins[0].incarnation,
                generation=header.generation + 1,
            )
            if is_damaged:
                disk.make_directory(target.parent)
                replace_file(disk, target, pieces(new, salvaged.engine))
                check(target, salvaged.engine, policies, options)
        finally:
            lock.release()
    return Repaired(
        source=source,
        target=target if is_damaged else None,
        node_id=header.node_id,
        damages=found.damages(salvaged.numbers),
        unusable=[found.fault(unusable) for unusable in salvaged.unusable],
        frames=found.frames,
        mended=found.mended,
        is_cut=found.is_cut,
        torn_bytes=found.ending.torn_bytes,
        keys=len(salvaged.engine.replica),
        renamed=salvaged.renamed,
        incarnation=new.incarnation,
        size_bytes=target.stat().st_size if is_damaged else 0,
    )


class Found:
    """Gives a salvage what is left of a log, and keeps where it was."""

    def __init__(self, header: Header, salvage: Salvage) -> None:
        self.header = header
        self.salvage = salvage
        self.frames = self.mended = 0
        self.is_cut = False
        self.gaps: list[Gap] = []
        self.ending = Ending(FILE_HEADER_BYTES, 0, FILE_HEADER_BYTES, 0)
        self._offsets: dict[int, int] = {}

    def read(self, reading: Generator[Frame | Gap, None, Ending]) -> None:
        """Read all."""
        while True:
            try:
                item = next(reading)
            except StopIteration as end:
                self.ending = end.value
                break
            if isinstance(item, Gap):
                self.gaps.append(item)
                self._miss(item.first, item.last, item.kinds, item.unknown())
                continue
            self.frames += 1
            self.mended += item.is_mended
            if item.kind != KIND_MARK and not self.salvage.take(
                item.sequence, item.kind, item.payload
            ):
                self._offsets[item.sequence] = item.offset

        self.is_cut = is_unfinished(self.header, self.ending.mark)
        if self.is_cut:
            self._miss(self.ending.sequence + 1, None, [], [])

    def _miss(
        self, first: int, last: int | None, kinds: list[int], unknown: list[tuple[int, int]]
    ) -> None:
        self.salvage.miss(
            Missing(
                first=first,
                last=last,
                kinds=kinds,
                unknown=unknown,
                overhead_bytes=FRAME_OVERHEAD_BYTES,
            )
        )

    def fault(self, unusable: Unusable) -> Fault:
        """Give where in the file an unusable record is."""
        sequence = unusable.position
        return Fault(self._offsets[sequence], sequence, unusable.reason)

    def damages(self, numbers: list[LostNumbers]) -> list[Damage]:
        """Give each gap with the writes that were lost in it."""
        found = [Damage(gap, []) for gap in self.gaps]
        for lost in numbers:
            # In one of the gaps before the write that shows it: most likely the last one.
            before = [damage for damage in found if damage.gap.first < lost.behind]
            if before:
                before[-1].numbers.append(lost)
        return found


def draw() -> int:
    """Draw an incarnation."""
    return secrets.randbits(64)


def pieces(header: Header, engine: Engine) -> Iterator[bytes]:
    """Give the bytes of a log that holds what an engine is, as closed as any."""
    block = encode_file_header(header)
    yield block
    seed = chain = int.from_bytes(block[-4:], "little")
    offset, sequence = len(block), 0
    encode = RecordEncoder(engine.replica.origins.copy()).encode
    for record in checkpoint(engine):
        sequence += 1
        kind, payload = encode(record)
        frame, chain = encode_frame(
            kind, payload, sequence=sequence, mark=FILE_HEADER_BYTES, seed=seed, chain=chain
        )
        offset += len(frame)
        yield frame
    # It has its name when all of it is durable, so that damage to it is never taken for a torn end.
    frame, _ = encode_frame(
        KIND_MARK, b"", sequence=sequence + 1, mark=offset, seed=seed, chain=chain
    )
    yield frame


def check(path: Path, engine: Engine, policies: Policies, options: EngineOptions) -> None:
    """Read the new file back: it is all that is left."""
    for item in read_log(path, policies=policies, options=options):
        if isinstance(item, Reading):
            found = None if item.engine is None else item.engine.replica.digest
            if found != engine.replica.digest:
                raise InternalError(
                    f"{path} does not hold what was saved, though it was just written: keep the "
                    "damaged log, and report this",
                    path=str(path),
                )
