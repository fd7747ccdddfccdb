"""The single checks of `softadastra doctor`. None changes anything."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from softadastra.cli.output import as_count
from softadastra.control.operations import Operations
from softadastra.errors import (
    InvalidArgumentError,
    NotFoundError,
    SoftadastraError,
    StorageError,
    StoreError,
)
from softadastra.options import ClientOptions
from softadastra.sentences import advice_on
from softadastra.types import PeerState, PeerStatus

__all__ = [
    "Finding",
    "State",
    "check_conflicts",
    "check_keys",
    "check_listing",
    "check_log",
    "check_outbox",
    "check_peers",
    "check_place",
    "check_port",
    "check_readiness",
    "check_settings",
]

FREE_BYTES_MIN = 64 * 1024 * 1024
"""Below this a busy node may fill the disk within minutes."""

SKEW_WARNED_MS = 5_000
"""A machine that sets its clock by the network is within a second. Nothing depends on it, but of
two writes that did not know of each other the one with the later clock wins."""

LOG_ADVICE = "softadastra wal verify looks at all of it, wal repair saves what is left"

ABSENT = frozenset({PeerState.STALE, PeerState.FAULTED, PeerState.SUSPENDED})


class State(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and may not be what is meant, or not for long."""
    PROBLEM = "problem"
    """The node does not start, or does not do what its settings say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check has found."""

    check: str
    state: State
    found: str
    advice: str = ""
    """What to do, as the begin of a sentence; empty when there is nothing."""


def check_settings(options: ClientOptions) -> Finding:
    """Whether the settings can be used, and are meant."""
    try:
        options.validate()
    except InvalidArgumentError as error:
        return Finding(
            check="settings",
            state=State.PROBLEM,
            found=error.message.replace("\n- ", " "),
            advice="see softadastra config show for where each comes from",
        )
    return Finding(check="settings", state=State.OK, found=f"node {options.node_id}")


def check_keys(options: ClientOptions) -> Iterator[Finding]:
    """Whether a secure node has keys, and lets anybody in; whether it is open to everybody."""
    if options.security is None:
        if options.insecure:
            yield Finding(
                check="security",
                state=State.WARNING,
                found="insecure: whoever reaches the port reads and writes everything",
                advice="set security to curve, see docs/security.md",
            )
        return
    from softadastra.security.key_file import KeyFile
    from softadastra.security.trust_file import TrustFile

    try:
        fingerprint = KeyFile(options.resolved_key_path()).load().public.fingerprint
        yield Finding(check="security", state=State.OK, found=f"its key is {fingerprint}")
    except NotFoundError:
        yield Finding(check="security", state=State.OK, found="its key is made at the first start")
    except SoftadastraError as error:
        yield Finding(check="security", state=State.PROBLEM, found=error.message)
    try:
        trusted = TrustFile(options.resolved_trust_path()).load().by_node
    except SoftadastraError as error:
        yield Finding(check="trust", state=State.PROBLEM, found=error.message)
        return
    if trusted:
        yield Finding(check="trust", state=State.OK, found=f"lets in {', '.join(sorted(trusted))}")
    else:
        yield Finding(
            check="trust",
            state=State.WARNING,
            found="no key is trusted, so nobody is let in",
            advice="softadastra keys trust, or pair",
        )


def check_log(options: ClientOptions) -> Finding:
    """Whether the log is one, this node's, and intact to its end."""
    from softadastra.wal.disk import OsDisk
    from softadastra.wal.log_file import read_log_file
    from softadastra.wal.salvaging import Gap, walk

    path = options.resolved_wal_path()
    try:
        file, header, seed = read_log_file(OsDisk(), path)
        with closing(file):
            size_bytes = file.size()
            gaps = [item for item in walk(file, seed) if isinstance(item, Gap)]
    except NotFoundError:
        return Finding(check="log", state=State.OK, found=f"{path} is made at the first write")
    except (StoreError, StorageError) as error:
        return Finding(
            check="log",
            state=State.PROBLEM,
            found=error.message,
            advice=LOG_ADVICE,
        )
    if gaps:
        return Finding(
            check="log",
            state=State.PROBLEM,
            found=f"{path} is damaged at offset {gaps[0].offset:,}: {gaps[0].reason}",
            advice=LOG_ADVICE,
        )
    if header.node_id != options.node_id:
        return Finding(
            check="log",
            state=State.PROBLEM,
            found=f"{path} is the log of node {header.node_id!r}, not of {options.node_id!r}",
            advice="give each node a log of its own, or name the node that wrote this one",
        )
    return Finding(check="log", state=State.OK, found=f"{path}, {size_bytes:,} bytes")


def check_place(options: ClientOptions) -> Iterator[Finding]:
    """Whether the log can be written, and rewritten."""
    path = options.resolved_wal_path()
    directory = path.absolute().parent
    while not directory.exists():
        directory = directory.parent
    for place in (directory, *(each for each in (path, Path(f"{path}.lock")) if each.exists())):
        if not os.access(place, os.W_OK):
            yield Finding(
                check="disk",
                state=State.PROBLEM,
                found=f"{place} is not writable for this user",
                advice="run this as the user of the node, or change the owner",
            )
            return
    free_bytes = shutil.disk_usage(directory).free
    needed_bytes = FREE_BYTES_MIN + (path.stat().st_size if path.exists() else 0)
    if free_bytes < needed_bytes:
        yield Finding(
            check="disk",
            state=State.WARNING,
            found=f"{free_bytes:,} bytes are free at {directory}",
            advice="make room: the log is rewritten into a second file beside it",
        )
    else:
        yield Finding(check="disk", state=State.OK, found=f"{free_bytes:,} bytes are free")


def check_listing() -> Finding:
    """Whether `node list` can find the nodes of this user."""
    from softadastra.control.places import runtime_candidates, usable_runtime_directory

    found = usable_runtime_directory()
    if found is not None:
        return Finding(check="node list", state=State.OK, found=f"nodes are noted in {found}")
    return Finding(
        check="node list",
        state=State.WARNING,
        found=f"none of {', '.join(map(str, runtime_candidates()))} is this user's alone",
        advice="remove them, or set XDG_RUNTIME_DIR to a directory of this user",
    )


def check_port(options: ClientOptions) -> Iterator[Finding]:
    """Whether the port is free that the node is to listen on."""
    if not (options.enable_transport and options.transport_port):
        return
    host, port = options.transport_host, options.transport_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
            # Two sockets may be bound with this option, and only one may listen.
            probe.listen(1)
        except OSError as error:
            yield Finding(
                check="port",
                state=State.PROBLEM,
                found=f"cannot listen on {host}:{port}: {error.strerror or error}",
                advice="choose another transport_port, or end what listens there",
            )
        else:
            yield Finding(check="port", state=State.OK, found=f"{host}:{port} is free")


def check_readiness(node: Operations) -> Iterator[Finding]:
    """Whether a node that runs takes writes and keeps them, and meets its peers."""
    from softadastra.health.readiness import readiness

    found = readiness(node.vitals())
    for fault, sentence in zip(found.findings, found.sentences, strict=True):
        advice = " ".join(advice_on([fault])).removesuffix(".")
        yield Finding(check="node", state=State.PROBLEM, found=sentence, advice=advice)


def check_peers(node: Operations) -> Iterator[Finding]:
    """How it stands with each peer."""
    peers = node.peers()
    if not peers:
        yield Finding(
            check="peers",
            state=State.OK,
            found="it knows none",
            advice="softadastra peers add, or node run --discover",
        )
    for peer in peers:
        yield _about_peer(node, peer)


def _about_peer(node: Operations, peer: PeerStatus) -> Finding:
    check = f"peer {peer.node_id}"
    stands = f"{peer.state}, lacks {as_count(peer.lag, 'write')}"
    skew_ms = peer.clock_skew_ms
    if peer.state is PeerState.CONNECTED and skew_ms is not None and abs(skew_ms) > SKEW_WARNED_MS:
        return Finding(
            check=check,
            state=State.WARNING,
            found=f"connected, and its clock is {skew_ms / 1000:+.1f} s off this one's",
            advice="set the clock that is wrong; nothing is lost by it",
        )
    if peer.state in ABSENT or (peer.last_error and peer.state is not PeerState.CONNECTED):
        return Finding(
            check=check,
            state=State.WARNING,
            found=f"{stands}: {peer.last_error or 'not connected'}",
            advice=_peer_advice(node, peer.node_id),
        )
    return Finding(check=check, state=State.OK, found=stands)


def _peer_advice(node: Operations, node_id: str) -> str:
    """Give what people can do about a peer; "" where the node goes on by itself."""
    try:
        found = node.explain_peer(node_id).findings
    except NotFoundError:  # it was forgotten in between
        return ""
    return " ".join(advice_on(each for each in found if each.peer == node_id)).removesuffix(".")


def check_outbox(node: Operations) -> Finding:
    """Whether anything of this node's own writes is given up for the time being."""
    state = node.sync_state()
    if state.failed_count:
        return Finding(
            check="outbox",
            state=State.WARNING,
            found=f"{as_count(state.failed_count, 'write')} lacked by peers that do not answer",
            advice="softadastra sync retry tries them at once; they are tried by themselves too",
        )
    waiting = state.outbox_size - state.acknowledged_count
    return Finding(check="outbox", state=State.OK, found=f"{as_count(waiting, 'write')} on the way")


def check_conflicts(node: Operations) -> Finding:
    """Whether somebody has to settle anything."""
    count = sum(each.is_open for each in node.conflicts())
    if count:
        return Finding(
            check="conflicts",
            state=State.WARNING,
            found=f"{as_count(count, 'key')} with several values",
            advice="softadastra conflicts lists and settles them",
        )
    return Finding(check="conflicts", state=State.OK, found="none is open")
