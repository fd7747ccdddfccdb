"""Findings in words: a sentence each, and what people can do about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from softadastra.findings import Cause, Finding

__all__ = ["ADVICE", "SENTENCES", "advice_on", "as_duration", "sentence"]

SENTENCES: Final[Mapping[Cause, str]] = {
    Cause.IN_STEP: "{peer} has all that is here, and this node all that it has told of.",
    Cause.PRESENT: "The key is here: {detail} wrote it{since}.",
    Cause.REMOVED: "The key is removed here: {detail} did so{since}.",
    Cause.ABSENT: "The key is not here, and nothing is left that says that it ever was.",
    Cause.CONFLICT: "It is in conflict: {writes} that did not know of each other stand for it, by"
    " the policy {detail}.",
    Cause.LOST: "A write of it lost a conflict: {detail}, made{since}.",
    Cause.HAVE_IT: "As it is here, it is at {peers} too.",
    Cause.LACKS_KEY: "{peer} does not have {detail}.",
    Cause.LACKS: "{peer} lacks {writes} of this node, the first of them made{since}.",
    Cause.LACKS_OTHERS: "{peer} lacks {writes} of other nodes that are here.",
    Cause.IS_AHEAD: "{peer} has {writes} that are not here yet.",
    Cause.ALONE: "No peer is known: all of it is on this node alone.",
    Cause.UNHEARD: "What {peer} has is not known: nobody has told since this node opened.",
    Cause.NOT_WRITING: "This node says nothing to anybody: its disk failed, and it writes no more.",
    Cause.DISK_FULL: "The log of this node found no room{since}{reason}.",
    Cause.READ_ONLY: "The log of this node could not be written{since}{reason}.",
    Cause.LOG_REFUSED: "The disk refused what this node wrote to its log{since}{reason}.",
    Cause.REACTOR_FAILED: "A bug ended this node's thread: it is offline; local reads and writes"
    " go on.",
    Cause.STOPPED: "This node does not run.",
    Cause.OFFLINE: "This node is offline: its transport does not run.",
    Cause.HELD: "This node holds {writes} back, by auto_queue=False.",
    Cause.UNTICKED: "Nothing leaves this node before the next tick, by auto_tick=False.",
    Cause.DISCONNECTED: "{away}{reason}{due}.",
    Cause.CONNECTING: "{peer} is being connected.",
    Cause.NO_ADDRESS: "{away}{reason}; its address is not known, so it has to connect by itself.",
    Cause.LEFT_ALONE: "{away}: it was disconnected here by hand, and is not dialled.",
    Cause.AUTH_FAILED: "{away}{reason}{due}.",
    Cause.DIFFERENT_CLUSTER: "{away}{reason}{due}.",
    Cause.PROTOCOL: "{away}{reason}{due}.",
    Cause.UNAUTHORIZED: "{away}{reason}{due}.",
    Cause.DUPLICATE_IDENTITY: "{away}{reason}{due}.",
    Cause.POLICY_MISMATCH: "{away}{reason}{due}.",
    Cause.BUSY: "{away}{reason}{due}.",
    Cause.SHUT_OUT: "{away}: it is shut out for bad messages, the last one of them{reason}{due}.",
    Cause.PARTED: "The histories of {peer} and this node have parted{since}: no data goes over.",
    Cause.FAULTED: "{peer} did not answer, though a batch was sent {attempts} times, first"
    "{since}{due}.",
    Cause.UNANSWERED: "{peer} is connected, and has not acknowledged what left{since}.",
    Cause.IN_FLIGHT: "It is on its way to {peer}, first sent{since}{times}{due}.",
    Cause.SNAPSHOT: "{peer} is getting a snapshot, which brings it.",
    Cause.SNAPSHOT_DUE: "{peer} needs a snapshot, as what it lacks was collected here{due}.",
    Cause.CONNECTION_FULL: "The connection with {peer} is full{due}.",
    Cause.WINDOW_FULL: "{peer} takes no more before it acknowledges one of {batches} batches, the"
    " first of them sent{since}.",
    Cause.LEFT_TO_OTHERS: "{peer} probably gets it from {detail} or others first{due}.",
    Cause.QUEUED: "It leaves for {peer} next.",
    Cause.DIGEST_DIFFERED: "{peer} has the same writes and another state; a snapshot mends that.",
    Cause.SUSPENDED: "{peer} was last heard{since}: nothing waits for it any more.",
    Cause.HOLDS_TOMBSTONES: "Of removed keys, {keys} kept until {peer} has the removes, the first"
    " of them made{since}.",
    Cause.RELAYED: "{peers} can pass writes on to {peer}, and back.",
    Cause.CLOCK_SKEWED: "The clock of {peer} is {skew} ours.",
}
"""What each cause is told as, with the names of `words_of`."""

ADVICE: Final[Mapping[Cause, str]] = {
    Cause.CONFLICT: "Choose a value with resolve(key, value).",
    Cause.NOT_WRITING: "See what the disk says, then close this node and open it again.",
    Cause.DISK_FULL: "Free space for the log: then writes work again by themselves.",
    Cause.READ_ONLY: "Make the file system of the log writable, then close this node and open it"
    " again.",
    Cause.LOG_REFUSED: "See what the disk says: the next write tries again.",
    Cause.REACTOR_FAILED: "Report the event reactor.failed, and start the transport, or the node,"
    " again.",
    Cause.STOPPED: "Start it: softadastra node run, or open() of its client.",
    Cause.OFFLINE: "Start the node's transport: start_transport(), or softadastra node run.",
    Cause.HELD: "Let them go with queue_pending().",
    Cause.UNTICKED: "Call tick(), or leave auto_tick on.",
    Cause.DISCONNECTED: "See whether {peer} runs, and whether its address is right and reachable.",
    Cause.NO_ADDRESS: "Start {peer}, or tell this node where it is: connect(), or --peer.",
    Cause.LEFT_ALONE: "Connect it again with connect().",
    Cause.AUTH_FAILED: "Exchange the keys of the two nodes: softadastra keys pair, or keys trust.",
    Cause.DIFFERENT_CLUSTER: "Give both nodes the same cluster, or name the right one.",
    Cause.PROTOCOL: "Update the older one of the two.",
    Cause.UNAUTHORIZED: "See which node answers at that address, and whose key it has.",
    Cause.DUPLICATE_IDENTITY: "Give one of the two another node_id and an empty log, or stop it.",
    Cause.POLICY_MISMATCH: "Give both nodes the same conflict_policy and conflict_policies.",
    Cause.SHUT_OUT: "See what {peer} is and which version it runs; connect() lets it in at once.",
    Cause.FAULTED: "See what {peer} does: it is connected and acknowledges nothing.",
    Cause.UNANSWERED: "See what {peer} does: its disk may be slow or full.",
    Cause.SUSPENDED: "If {peer} does not come back, forget it.",
    Cause.HOLDS_TOMBSTONES: "If {peer} is gone for good, forget it.",
    Cause.CLOCK_SKEWED: "Set the clocks of both machines, by NTP for one.",
}
"""What people can do; about the rest they need do nothing."""

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
CLOSE: Final = 2
"""Twice a unit and more is told in that unit, as "119 s" and "2 min"."""


def advice_on(findings: Iterable[Finding]) -> list[str]:
    """Give what people can do about findings, each thing once."""
    advised = [(finding, ADVICE[finding.cause]) for finding in findings if finding.cause in ADVICE]
    return list(dict.fromkeys(words.format(peer=finding.peer) for finding, words in advised))


def as_duration(milliseconds: int) -> str:
    """Write how long something took or is ago, in the largest unit that it has two of."""
    for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if milliseconds >= CLOSE * unit:
            return f"{milliseconds // unit:,} {name}"
    return f"{max(0, milliseconds)} ms"


def sentence(finding: Finding, now_ms: int) -> str:
    """Put a finding into words.

    Args:
        finding: what was found.
        now_ms: when, in milliseconds since 1970.
    """
    return SENTENCES[finding.cause].format_map(words_of(finding, now_ms))


def words_of(finding: Finding, now_ms: int) -> dict[str, object]:
    """Write each part of a finding as it stands in a sentence; what does not apply is empty."""
    since = since_words(finding, now_ms)
    lost = f"lost{since}" if since else "not connected since this node opened"
    skew = as_duration(abs(finding.skew_ms))
    return {
        "peer": finding.peer,
        "peers": as_list(finding.peers),
        "detail": finding.detail,
        "reason": f": {finding.detail}" if finding.detail else "",
        "since": since,
        "away": f"{finding.peer} was {lost}",
        "due": due_words(finding, now_ms),
        "writes": "1 write" if finding.writes == 1 else f"{finding.writes:,} writes",
        "keys": "1 is" if finding.writes == 1 else f"{finding.writes:,} are",
        "batches": finding.batches,
        "attempts": finding.attempts,
        "times": "" if finding.attempts < 2 else f", {finding.attempts} times by now",
        "skew": f"{skew} ahead of" if finding.skew_ms > 0 else f"{skew} behind",
    }


def as_list(names: tuple[str, ...]) -> str:
    """Write names as people do."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def since_words(finding: Finding, now_ms: int) -> str:
    """Write since when, with a space before it."""
    if finding.since_ms is None:
        return ""
    instant = datetime.fromtimestamp(finding.since_ms / 1000, UTC)
    ago = as_duration(now_ms - finding.since_ms)
    return f" {ago} ago ({instant:%Y-%m-%d %H:%M:%SZ})"


def due_words(finding: Finding, now_ms: int) -> str:
    """Write when something is tried next."""
    if finding.next_ms is None:
        return ""
    wait_ms = finding.next_ms - now_ms
    return f"; tried again in {as_duration(wait_ms)}" if wait_ms > 0 else "; tried again now"
