"""How `top` looks: what the node does, then a row a peer, who lags most first.

Drawing asks the node nothing. It fits terminals down to 40 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from softadastra.cli.output import as_count, printable
from softadastra.health.readiness import readiness
from softadastra.sentences import as_duration
from softadastra.types import PeerState
from softadastra.vitals import PeerVitals, Rates, Vitals

__all__ = ["as_size", "draw"]

STYLES: Final[Mapping[PeerState, str]] = {
    PeerState.CONNECTED: "green",
    PeerState.CONNECTING: "yellow",
    PeerState.AVAILABLE: "yellow",
    PeerState.STALE: "red",
    PeerState.FAULTED: "bold red",
    PeerState.SUSPENDED: "dim",
}

UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Row(NamedTuple):
    """A peer, as it is and as it was."""

    peer: PeerVitals
    before: PeerVitals | None
    seconds: float
    """That lie between."""

    def speed(self, total: Callable[[PeerVitals], int]) -> str:
        """Write how fast a total of bytes rose; "-" where that is not known."""
        if self.before is None or self.seconds <= 0:
            return "-"
        return as_size(max(0, total(self.peer) - total(self.before)) / self.seconds)


class Column(NamedTuple):
    """A column of the table of peers, behind their names and states."""

    title: str
    columns_min: int
    """On a narrower terminal it is left out."""
    cell: Callable[[Row], str]


COLUMNS: Final = (
    Column("lag", 0, lambda row: f"{row.peer.lag:,}"),
    Column("for", 0, lambda row: as_duration(row.peer.lag_ms) if row.peer.lag else "-"),
    Column("not here", 60, lambda row: as_known(row.peer.ahead)),
    Column("flight", 60, lambda row: f"{row.peer.in_flight:,}"),
    Column("retries", 70, lambda row: f"{row.peer.retries:,}"),
    Column("ping", 78, lambda row: as_milliseconds(row.peer.round_trip_ms)),
    Column("ack", 78, lambda row: as_milliseconds(row.peer.confirmation_ms)),
    Column("in/s", 100, lambda row: row.speed(lambda peer: peer.traffic.bytes_in)),
    Column("out/s", 100, lambda row: row.speed(lambda peer: peer.traffic.bytes_out)),
    Column("skew", 110, lambda row: as_milliseconds(row.peer.clock_skew_ms)),
)


def draw(before: Vitals | None, now: Vitals, *, is_running: bool, width: int) -> Group:
    """Draw one look at a node.

    Args:
        before: an earlier one, for rates; None: there are none.
        now: what is drawn.
        is_running: whether the node runs; otherwise its log was opened to look at it.
        width: of the terminal, in columns.
    """
    rates = now.rates_since(before) if before else None
    facts = Table.grid(padding=(0, 1))
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column(overflow="fold")
    for name, value in facts_of(now, rates):
        facts.add_row(name, Text(value))
    parts: list[RenderableType] = [Text(title(now, is_running=is_running), style="bold")]
    parts += [Text(printable(words), style="bold red") for words in readiness(now).sentences]
    parts.append(facts)
    if now.peers:
        parts += [Text(""), peers_table(before, now, width=width)]
        parts += [Text(words, style="yellow") for words in troubles(now)]
    return Group(*parts)


def title(now: Vitals, *, is_running: bool) -> str:
    """Name the node, and whether it is in touch with anybody."""
    node = now.node
    connected = sum(peer.state is PeerState.CONNECTED for peer in now.peers)
    port = f"port {node.transport_port}" if node.transport_port is not None else "offline"
    peers = f"{connected} of {as_count(len(now.peers), 'peer')} connected"
    failed = "" if node.is_writing else ", WRITES NO MORE"
    uptime = f"up {as_duration(node.uptime_ms)}" if is_running else "not running"
    return f"{printable(node.node_id)}  {uptime}, {port}, {peers}{failed}"


def facts_of(now: Vitals, rates: Rates | None) -> Iterable[tuple[str, str]]:
    """Give what is shown of the node itself, a line each."""
    store, sync, log = now.store, now.sync, now.log
    yield (
        "store",
        (
            f"{as_count(store.entries, 'key')}, {as_size(store.size_bytes)};"
            f" {as_count(store.conflicts, 'conflict')}, {store.lost:,} lost;"
            f" {as_count(store.tombstones, 'tombstone')}"
        ),
    )
    for hold in store.tombstone_holds:
        age = as_duration(now.observed_ms - hold.since_ms)
        yield "", f"{printable(hold.peer)} holds {as_count(hold.count, 'tombstone')}, for {age}"
    if log is not None:
        # An estimate, which is too high where few records have many writes.
        alive = min(log.live_bytes, log.size_bytes)
        yield "log", f"{as_size(log.size_bytes)}, about {as_size(alive)} of it alive"
        speed = f"{rates.syncs:,.1f}/s, " if rates else ""
        times = (log.sync_p50_ms, log.sync_p99_ms, log.sync_max_ms)
        p50, p99, longest = ("-" if ms is None else f"{ms:,.1f} ms" for ms in times)
        yield "syncs", f"{speed}half in {p50}, 99 % in {p99}, longest {longest}"
    yield (
        "outbox",
        (
            f"{sync.outbox_size:,}: {sync.held_count:,} held, {sync.queued_count:,} queued,"
            f" {sync.in_flight_count:,} in flight, {sync.acknowledged_count:,} acknowledged,"
            f" {sync.failed_count:,} failed"
        ),
    )
    if rates is not None:
        yield (
            "writes",
            (
                f"{rates.writes_made:,.1f}/s made, {rates.writes_in:,.1f}/s in,"
                f" {rates.writes_out:,.1f}/s out"
            ),
        )
        yield "traffic", f"{as_size(rates.bytes_in)}/s in, {as_size(rates.bytes_out)}/s out"


def peers_table(before: Vitals | None, now: Vitals, *, width: int) -> Table:
    """Draw a row a peer."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("peer", overflow="ellipsis", no_wrap=True)
    table.add_column("state", no_wrap=True)
    columns = [column for column in COLUMNS if width >= column.columns_min]
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    earlier = {peer.node_id: peer for peer in before.peers} if before else {}
    seconds = (now.elapsed_ms - before.elapsed_ms) / 1000 if before else 0.0
    for peer in sorted(now.peers, key=lambda peer: (-peer.lag_ms, peer.node_id)):
        row = Row(peer, earlier.get(peer.node_id), seconds)
        table.add_row(
            Text(printable(peer.node_id)),
            Text(peer.state, STYLES[peer.state]),
            *(column.cell(row) for column in columns),
        )
    return table


def troubles(now: Vitals) -> Iterable[str]:
    """Say of each peer that is not connected why, and when it is dialled."""
    for peer in now.peers:
        if peer.last_error:
            wait = None if peer.next_ms is None else max(0, peer.next_ms - now.observed_ms)
            again = "" if wait is None else f"; again in {as_duration(wait)}"
            yield f"{printable(peer.node_id)}: {printable(peer.last_error)}{again}"


def as_size(size_bytes: float) -> str:
    """Write a size in the largest unit that it has one of."""
    size = float(size_bytes)
    for unit in UNITS[:-1]:
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} {UNITS[-1]}"


def as_known(count: int | None) -> str:
    """Write a count; "?" for one that is not known."""
    return "?" if count is None else f"{count:,}"


def as_milliseconds(milliseconds: int | None) -> str:
    """Write a time; "-" for none."""
    return "-" if milliseconds is None else f"{milliseconds:,} ms"
