"""Saving what is left of a damaged log, in a new file; the damaged one stays as it is.

The new file holds the state that `sync/salvage.py` gives, as a checkpoint under an incarnation of
its own: a node that opens it takes nothing for its own that it may have lost, and its peers send
what is missing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from softadastra.errors import AlreadyExistsError, InternalError, StoreError
from softadastra.inspection import Fault, Reading, read_log
from softadastra.store.changes import OWN
from softadastra.store.policies import Policies
from softadastra.sync.checkpoint import checkpoint
from softadastra.sync.engine import Engine
from softadastra.sync.records import RecordEncoder
from softadastra.sync.salvage import LostNumbers, Missing, Salvage
from softadastra.sync.settings import EngineOptions
from softadastra.wal.disk import OsDisk, replace_file
from softadastra.wal.frames import (
    KIND_MARK,
    Header,
    beginning,
    encode_file_header,
    encode_frames,
    seed_of,
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
        StorageError: the system refused; a file that is at the target all the same is whole.
    """
    disk = OsDisk()
    file, header, seed = read_log_file(disk, source)
    lock = LockFile(source, disk=disk)
    with closing(file):
        check_owner(source, header.node_id, node_id)
        lock.acquire(node_id=header.node_id, to_write=False)
        try:
            if disk.exists(target):
                raise AlreadyExistsError(
                    f"{target} exists: name another file with --output, or remove it",
                    path=str(target),
                )
            useless: dict[int, str] = {}
            found = Found(header, policies, options, useless)
            while not all(map(found.take, walk(file, seed))):
                found = Found(header, policies, options, useless)
            salvaged = found.salvage.result(draw())
            if found.is_damaged:
                disk.make_directory(target.parent)
                replace_file(disk, target, pieces(header, salvaged.engine))
                check(target, salvaged.engine, policies, options)
        finally:
            lock.release()
    return Repaired(
        source=source,
        target=target if found.is_damaged else None,
        node_id=header.node_id,
        damages=found.damages(salvaged.numbers),
        unusable=found.unusable,
        frames=found.frames,
        mended=found.mended,
        is_cut=found.is_cut,
        torn_bytes=found.ending.torn_bytes,
        keys=len(salvaged.engine.replica),
        renamed=salvaged.renamed,
        incarnation=incarnation_of(salvaged.engine),
        size_bytes=target.stat().st_size if found.is_damaged else 0,
    )


class Found:
    """What is left of a log, as it is read and given to a salvage.

    Args:
        header: of the log.
        policies: what happens to concurrent writes.
        options: of the engine.
        useless: why records are left out, by sequence.
    """

    ending: Ending

    def __init__(
        self,
        header: Header,
        policies: Policies,
        options: EngineOptions,
        useless: dict[int, str],
    ) -> None:
        self.salvage = Salvage(
            header.node_id,
            header.incarnation,
            is_rewritten=header.is_rewritten,
            policies=policies,
            options=options,
            draw=draw,
        )
        self.frames = self.mended = 0
        self.is_cut = False
        self.gaps: list[Gap] = []
        self.unusable: list[Fault] = []
        self._header = header
        self._useless = useless

    @property
    def is_damaged(self) -> bool:
        """Whether the log is anything but what a node leaves."""
        return bool(self.is_cut or self.gaps or self.mended or self.unusable)

    def take(self, item: Frame | Gap | Ending) -> bool:
        """Take what comes next.

        Returns:
            Whether that could be done; else all is to be taken anew, without this one.
        """
        match item:
            case Frame():
                self.frames += 1
                self.mended += item.is_mended
                return item.kind == KIND_MARK or self._take_record(item)
            case Gap():
                self.gaps.append(item)
                self.salvage.miss(Missing(item.first, item.kinds, item.unknown()))
            case Ending():
                self.ending = item
                self.is_cut = is_unfinished(self._header, item.mark)
                if self.is_cut:
                    self.salvage.miss(Missing(item.sequence + 1, [], []))
        return True

    def _take_record(self, frame: Frame) -> bool:
        reason = self._useless.get(frame.sequence)
        if reason is not None:
            self.salvage.miss(Missing(frame.sequence, [frame.kind], []))
        else:
            try:
                reason = self.salvage.take(frame.sequence, frame.kind, frame.payload)
            except StoreError:
                raise
            except Exception as error:  # its checksum is right, so nothing is expected of it
                self._useless[frame.sequence] = f"it cannot be read: {error!r:.200}"
                return False
        if reason is not None:
            self.unusable.append(Fault(frame.offset, frame.sequence, reason))
        return True

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


def incarnation_of(engine: Engine) -> int:
    """Give the incarnation under which an engine writes."""
    return engine.replica.origins[OWN].incarnation


def pieces(old: Header, engine: Engine) -> Iterator[bytes]:
    """Give the bytes of a log that holds what an engine is, in place of another one."""
    header = replace(old, incarnation=incarnation_of(engine), generation=old.generation + 1)
    block = encode_file_header(header)
    yield block
    seed = seed_of(block)
    end = beginning(seed)
    encode = RecordEncoder(engine.replica.origins.copy()).encode
    for record in checkpoint(engine):
        data, end = encode_frames([encode(record)], end, seed=seed)
        yield data
    # It has its name when all of it is durable.
    mark, _ = encode_frames([(KIND_MARK, b"")], end._replace(mark=end.offset), seed=seed)
    yield mark


def check(path: Path, engine: Engine, policies: Policies, options: EngineOptions) -> None:
    """Read the new file back: it is all that is left."""
    for item in read_log(path, policies=policies, options=options):
        if isinstance(item, Reading):
            found = (
                None if item.engine is None else (item.engine.replica.digest, item.engine.have())
            )
            if found != (engine.replica.digest, engine.have()):
                raise InternalError(
                    f"{path} does not hold what was saved, though it was just written: keep the "
                    "damaged log, and report this",
                    path=str(path),
                )
