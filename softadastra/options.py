"""The settings of a node: what there is to set, its defaults, and the check of the whole.

Options are mutable so that they can be built step by step, and are checked as a whole by
`validate()` when a client opens. A client reads them then: a later change has no effect on it.
They are not meant to be changed by two threads at once.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_type_hints

from softadastra.errors import InvalidArgumentError
from softadastra.policy_names import policy_name
from softadastra.settings import (
    FILE_PATH,
    FLAG,
    PEERS,
    POLICIES,
    POLICY,
    SECONDS,
    Kind,
    PathType,
    nearest_name,
    one_of,
    parse_peers,
    read_environment,
    read_file,
    refuse_unknown,
    text,
    whole,
)
from softadastra.types import MergeFunction, Peer

__all__ = ["CONFLICT_POLICIES", "ClientOptions"]

CONFLICT_POLICIES = ("last_write_wins", "manual", "keep_local", "keep_remote")
"""What can become of two writes of one key that did not know of each other."""

_LONGEST_ENDING = ".trusted.0123456789abcdef.new"
"""Behind the name of a log, of the files that stand beside it (docs/operations.md). The lock's and
the socket's are needed always, this one when a list of trusted keys is changed."""

_MEBIBYTE = 1 << 20

_KEY_BYTES_MAX = 1 << 16
"""With a value of 1 MiB this leaves 190 KiB of a frame (1.25 MiB) to what goes with an entry."""


@dataclass(slots=True)
class ClientOptions:
    """How one node behaves.

    `ClientOptions()` is a node "node-1" with a write-ahead log in data/node-1.wal and no network.
    The factories `local`, `memory_only`, `persistent`, `durable` and `fast` give usual mixtures,
    and take any field as a keyword. Times are in seconds.
    """

    node_id: Annotated[str, text(minimum=1)] = "node-1"
    """The node's name, unique in its cluster; peers know it and each write carries it."""

    _: KW_ONLY

    display_name: Annotated[str, text()] = ""
    """A name for people, shown instead of the node id."""

    version: Annotated[str, text()] = "0.1.0"
    """The version of the application, shown to people. Not the version of this package. It has
    no variable: SOFTADASTRA_VERSION belongs to the installer."""

    cluster: Annotated[str, text(minimum=1)] = "default"
    """Nodes of different clusters refuse each other. A name, not a secret."""

    wal_path: Annotated[PathType | None, FILE_PATH] = None
    """The write-ahead log, one file for this node alone, relative to the directory that is current
    when the client opens. None: data/<node_id>.wal. Missing directories are made."""

    enable_wal: Annotated[bool, FLAG] = True
    """Keep a write-ahead log. Without one the node forgets everything when it is closed."""

    auto_flush: Annotated[bool, FLAG] = True
    """Sync the disk before a write returns, so that it survives a power cut. Otherwise the last
    `flush_interval` of writes can be lost to one, never to a crash of the process alone."""

    flush_interval: Annotated[float, SECONDS] = 0.05
    """With `auto_flush=False`, the longest time that a returned write may stay unsynced: its sync
    begins after four fifths of it. 50 ms costs a busy disk 25 syncs a second."""

    auto_tick: Annotated[bool, FLAG] = True
    """Send by itself. Otherwise no batch, retry or relay leaves before `tick()` is called;
    receiving and acknowledging go on."""

    tick_interval: Annotated[float, SECONDS] = 0.05
    """With `auto_tick`, the time between two looks at retries and timers. A write does not wait
    for it: it is sent at once."""

    auto_queue: Annotated[bool, FLAG] = True
    """Offer new writes to the peers. Otherwise they are held back until `queue_pending()`."""

    require_ack: Annotated[bool, FLAG] = True
    """Count a write as delivered when the peer has confirmed it. Otherwise when it was sent, with
    no retry; the regular comparison between peers still repairs what was lost."""

    sync_batch_size: Annotated[int, whole(1, 4096)] = 1024
    """The most entries in one batch. A batch is full at this or at `sync_batch_bytes`. The original
    has 64, which with its window of 4 halves the throughput (docs/decisions/0003)."""

    sync_batch_bytes: Annotated[int, whole(1024, _MEBIBYTE)] = 262144
    """The most bytes in one batch; a larger entry travels alone. The limit leaves room in a
    message, 1.25 MiB, for what surrounds a batch."""

    sync_window: Annotated[int, whole(1, 64)] = 8
    """Batches that one peer may leave unconfirmed before it is sent more: at most
    `sync_window * sync_batch_bytes` bytes are on their way to it. See `sync_batch_size`."""

    max_sync_retries: Annotated[int, whole(1, 1_000_000)] = 5
    """After so many resends without an answer a peer is faulted and its share counts as failed.
    Nothing is given up: when it answers, delivery goes on by itself."""

    retry_interval: Annotated[float, SECONDS] = 5.0
    """The wait before the first resend; it doubles with each further one, up to a minute."""

    max_offline: Annotated[float, SECONDS] = 2_592_000.0
    """How long a member may be away, in seconds, before it holds back the collection of removed
    keys no more: 30 days. It loses nothing: when it comes back it is reconciled by a snapshot."""

    ack_timeout: Annotated[float, SECONDS] = 10.0
    """A connected peer that confirms nothing for so long is shown as stale."""

    conflict_policy: Annotated[str | MergeFunction, POLICY] = "last_write_wins"
    """One of `CONFLICT_POLICIES`, or a function that merges, the same on all nodes of a cluster."""

    conflict_policies: Annotated[dict[str, str | MergeFunction], POLICIES] = field(
        default_factory=dict
    )
    """Policies for keys by prefix; the longest prefix wins, then `conflict_policy`."""

    enable_transport: Annotated[bool, FLAG] = False
    """Allow `start_transport()`, which listens for peers and dials them."""

    transport_host: Annotated[str, text(minimum=1)] = "127.0.0.1"
    """The address to listen on. Anything but loopback needs `security`, or `insecure`."""

    transport_port: Annotated[int, whole(0, 65535)] = 0
    """The port to listen on. 0: the system picks a free one, shown by `client.transport_port`."""

    peers: Annotated[tuple[Peer, ...], PEERS] = ()
    """Nodes to dial when the transport starts. "id@host:port" is accepted for each and comes out
    as a `Peer`; what cannot be read is refused where it is assigned."""

    enable_discovery: Annotated[bool, FLAG] = False
    """Allow `start_discovery()`, which looks for peers on the network of `transport_host`."""

    security: Annotated[str | None, one_of("curve")] = None
    """How connections are encrypted and checked: "curve", with a key pair for each node, and a list
    of those whom it trusts; see docs/security.md. None: whoever reaches the port can read and write
    everything."""

    insecure: Annotated[bool, FLAG] = False
    """Consent to listen beyond loopback without `security`. With it, this says nothing."""

    key_path: Annotated[PathType | None, FILE_PATH] = None
    """With `security`, the file of this node's key pair, made on first use. None: that of the log,
    with .key behind it, whether the log is kept or not. The list of trusted keys is beside it, with
    .trusted in place of .key."""

    enable_control: Annotated[bool, FLAG] = True
    """Answer the commands of this user on a socket beside the log, for the cost of a thread that
    sleeps. Without it they are refused while the node has its log open."""

    max_key_bytes: Annotated[int, whole(1, _KEY_BYTES_MAX)] = 1024
    """The longest key, in bytes of UTF-8."""

    max_value_bytes: Annotated[int, whole(1, _MEBIBYTE)] = _MEBIBYTE
    """The largest value, in bytes as packed; more does not fit the frame that peers accept."""

    if not TYPE_CHECKING:  # a type checker that sees it lets any name be assigned

        def __setattr__(self, name: str, value: object) -> None:
            if name == "peers":
                value = parse_peers(value)
            elif name == "conflict_policies" and isinstance(value, Mapping):
                value = dict(value)  # a copy of the options must not share its table
            object.__setattr__(self, name, value)

    @classmethod
    def memory_only(cls, node_id: str, **settings: Any) -> Self:
        """Make options for a node without a file, as for tests and caches; 2 retries.

        Acknowledgements stay required: they are what makes delivery certain, and cost no file.

        Raises:
            InvalidArgumentError: a keyword is no field; the message names the nearest.
        """
        return cls._from_preset(
            node_id, settings, enable_wal=False, auto_flush=False, max_sync_retries=2
        )

    @classmethod
    def local(cls, node_id: str, **settings: Any) -> Self:
        """Make the same options as `memory_only`: a free starting point on one machine."""
        return cls.memory_only(node_id, **settings)

    @classmethod
    def persistent(cls, node_id: str, wal_path: PathType, **settings: Any) -> Self:
        """Make options for a node whose every returned write survives a power cut.

        Raises:
            InvalidArgumentError: a keyword is no field; the message names the nearest.
        """
        return cls._from_preset(
            node_id, settings, enable_wal=True, wal_path=wal_path, auto_flush=True
        )

    @classmethod
    def durable(cls, node_id: str, wal_path: PathType, **settings: Any) -> Self:
        """Make the same options as `persistent`, by the name that says why."""
        return cls.persistent(node_id, wal_path, **settings)

    @classmethod
    def fast(cls, node_id: str, wal_path: PathType, **settings: Any) -> Self:
        """Make options for a node that syncs every `flush_interval`; batches of 128, 2 retries.

        Raises:
            InvalidArgumentError: a keyword is no field; the message names the nearest.
        """
        return cls._from_preset(
            node_id,
            settings,
            enable_wal=True,
            wal_path=wal_path,
            auto_flush=False,
            sync_batch_size=128,
            max_sync_retries=2,
        )

    @classmethod
    def _from_preset(cls, node_id: str, settings: dict[str, Any], **preset: Any) -> Self:
        refuse_unknown(settings, _kinds(), place="among the keywords")
        return cls(node_id, **(preset | settings))

    @classmethod
    def load(
        cls,
        path: PathType | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        defaults: Mapping[str, Any] | None = None,
        **overrides: Any,
    ) -> Self:
        """Read options from keywords, variables and a TOML file, the first that has a field wins.

        The variable of a field is SOFTADASTRA_ and its name in capitals (`version` has none).
        Flags are true, false, 1, 0, yes, no, on or off; `peers` are separated by commas. The
        result is not validated as a whole, so that it can be changed first.

        Args:
            path: the file; it must exist. None: softadastra.toml of the current directory, if it
                is there.
            environ: the variables, as a mapping; None: those of the process.
            defaults: fields, weaker than both: those of an application.
            overrides: fields, stronger than both.

        Raises:
            InvalidArgumentError: the named file is missing or is not TOML, or a key, a variable or
                a keyword is unknown (the message names the nearest) or has a wrong value.
            StorageError: the file cannot be read.
        """
        kinds = _kinds()
        refuse_unknown(overrides, kinds, place="among the keywords")
        refuse_unknown(defaults or (), kinds, place="among the defaults")
        variables = read_environment(os.environ if environ is None else environ, kinds)
        settings: dict[str, Any] = read_file(path, kinds) | variables | overrides
        return cls(**{**(defaults or {}), **settings})

    @classmethod
    def sources(
        cls, path: PathType | None = None, environ: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Say where `load` finds what is set: by name "variable" or "file"; all else is default.

        Arguments and errors as of `load`.
        """
        kinds = _kinds()
        variables = read_environment(os.environ if environ is None else environ, kinds)
        in_file = dict.fromkeys(read_file(path, kinds), "file")
        return in_file | dict.fromkeys(variables, "variable")

    def with_transport(self, host: str, port: int) -> Self:
        """Return a copy that listens at this address; port 0 lets the system pick one."""
        return replace(self, enable_transport=True, transport_host=host, transport_port=port)

    def with_local_transport(self, port: int = 0) -> Self:
        """Return a copy that listens on this machine's loopback interface."""
        return self.with_transport("127.0.0.1", port)

    def with_discovery(
        self, host: str | None = None, port: int | None = None, *, enabled: bool = True
    ) -> Self:
        """Return a copy that looks for peers, and listens, since found peers are dialled.

        Args:
            host: the address to listen on, "0.0.0.0" or "::" for all of this machine's. It says how
                far discovery goes: on loopback, the default, nodes of one machine find each other.
                None leaves it as it is.
            port: None leaves it as it is; by default the system picks a free one.
            enabled: False takes discovery out again, and leaves the transport.
        """
        return replace(
            self,
            enable_discovery=enabled,
            enable_transport=self.enable_transport or enabled,
            transport_host=self.transport_host if host is None else host,
            transport_port=self.transport_port if port is None else port,
        )

    def with_metadata(self, display_name: str, version: str = "0.1.0") -> Self:
        """Return a copy that shows these to people."""
        return replace(self, display_name=display_name, version=version)

    def resolved_wal_path(self) -> Path:
        """Return `wal_path`, or data/<node_id>.wal when it is None; of a symbolic link, its end.

        The lock and the socket are beside the log itself, so that whoever comes by a link finds
        them; and a rewritten log takes the place of the log, not of the link.
        """
        path = self._named_wal_path()
        return Path(os.path.realpath(path)) if path.is_symlink() else path

    def resolved_key_path(self) -> Path:
        """Return `key_path`, or `wal_path` with .key behind it; nothing is looked up."""
        if self.key_path is not None:
            return Path(self.key_path)
        wal_path = self._named_wal_path()
        return wal_path.with_name(f"{wal_path.name}.key")

    def resolved_trust_path(self) -> Path:
        """Return where the list of trusted keys is: beside the key pair."""
        key_path = self.resolved_key_path()
        return key_path.with_name(f"{key_path.name.removesuffix('.key')}.trusted")

    def _named_wal_path(self) -> Path:
        return Path("data", f"{self.node_id}.wal") if self.wal_path is None else Path(self.wal_path)

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON can carry it; `ClientOptions(**d)` makes equal options.

        A function that merges is given by its name, which is for reading alone.
        """
        values = {name: getattr(self, name) for name in _kinds()}
        for name in ("wal_path", "key_path"):
            values[name] = None if values[name] is None else os.fspath(values[name])
        values["peers"] = [str(peer) for peer in self.peers]
        values["conflict_policy"] = policy_name(self.conflict_policy)
        values["conflict_policies"] = {
            prefix: policy_name(policy) for prefix, policy in self.conflict_policies.items()
        }
        return values

    def validate(self) -> None:
        """Check every field, and that they fit each other; nothing is changed.

        Raises:
            InvalidArgumentError: the message lists every problem, and so does
                `.context["problems"]`.
        """
        problems = [
            *_field_problems(self),
            *_policy_problems(self),
            *_wal_problems(self),
            *_exposure_problems(self),
        ]
        if problems:
            raise InvalidArgumentError(
                "\n- ".join((f"the options of node {self.node_id!r} cannot be used:", *problems)),
                problems=problems,
            )


@cache
def _kinds() -> dict[str, Kind]:
    hints = get_type_hints(ClientOptions, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in fields(ClientOptions)}


def _field_problems(options: ClientOptions) -> Iterator[str]:
    for name, kind in _kinds().items():
        value = getattr(options, name)
        if not kind.accepts(value):
            yield f"{name} must be {kind.expected}, got {value!r}"


def _policy_problems(options: ClientOptions) -> Iterator[str]:
    named: dict[str, str | MergeFunction] = {"conflict_policy": options.conflict_policy}
    if POLICIES.accepts(options.conflict_policies):
        for prefix, policy in options.conflict_policies.items():
            named[f"conflict_policies[{prefix!r}]"] = policy
    for place, policy in named.items():
        if isinstance(policy, str) and policy not in CONFLICT_POLICIES:
            nearest = nearest_name(policy, CONFLICT_POLICIES)
            yield f"{place} {policy!r} is unknown: did you mean {nearest!r}?"
        elif callable(policy) and not hasattr(policy, "__qualname__"):
            yield f"{place} {policy!r} has no name that nodes can compare: name a function"


def _wal_problems(options: ClientOptions) -> Iterator[str]:
    name = f"{options.node_id}.wal"
    has_key = options.security is not None and options.key_path is None
    unnamed = options.wal_path is None and (options.enable_wal is True or has_key)
    if unnamed and ("/" in name or not text().accepts(name + _LONGEST_ENDING)):
        yield (
            f"node_id {options.node_id!r} cannot name the files of its write-ahead log, where names"
            f' have no "/" and at most {255 - len(".wal" + _LONGEST_ENDING)} bytes: set wal_path'
        )


def _exposure_problems(options: ClientOptions) -> Iterator[str]:
    exposed = options.enable_transport is True and not _is_loopback(options.transport_host)
    if exposed and options.security is None and options.insecure is not True:
        yield (
            f"transport_host {options.transport_host!r} lets every machine that reaches it read and"
            ' write all data: set security="curve", which lets in nodes whose keys are trusted'
            " (docs/security.md); or insecure=True, where the whole network is trusted; or listen"
            ' on "127.0.0.1"'
        )


def _is_loopback(host: object) -> bool:
    if not isinstance(host, str) or host in ("", "localhost"):  # what is no host exposes nothing
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
