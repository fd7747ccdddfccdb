"""What a client's options mean to the parts of its node, in their units."""

from __future__ import annotations

from dataclasses import replace

from softadastra.errors import InvalidArgumentError, StorageError
from softadastra.metadata.node import describe_node
from softadastra.options import ClientOptions
from softadastra.policy_names import policy_name
from softadastra.store.policies import Policies, Policy
from softadastra.sync.batches import Limits
from softadastra.sync.fields import POLICIES_BYTES_MAX
from softadastra.sync.settings import EngineOptions
from softadastra.types import MergeFunction, NodeInfo

__all__ = [
    "anchored",
    "capabilities_of",
    "describe",
    "engine_options",
    "merge_function",
    "policies_of",
]


def anchored(options: ClientOptions) -> ClientOptions:
    """Give the same settings, whose files stay the same when the program changes its directory.

    A log that is rewritten takes the place of what has its path then.

    Raises:
        StorageError: a path is relative, and the current directory is gone.
    """
    if not options.enable_wal and options.security is None:
        return options
    try:
        return replace(
            options,
            wal_path=options.resolved_wal_path().absolute(),
            key_path=options.resolved_key_path().absolute(),
        )
    except OSError as error:
        raise StorageError(
            f"the current directory is gone, and {str(options.resolved_wal_path())!r} is relative "
            "to it: change to one that is there, or give an absolute path",
            errno=error.errno,
        ) from error


def policies_of(options: ClientOptions) -> Policies:
    """Give what the options say of conflicts.

    Raises:
        InvalidArgumentError: it is too long for a greeting, so no peer could be met.
    """

    def named(policy: str | MergeFunction) -> Policy:
        return Policy(policy) if isinstance(policy, str) else Policy.MERGE

    by_prefix = dict(sorted(options.conflict_policies.items()))
    names = [policy_name(options.conflict_policy)]
    names += [f"{prefix}={policy_name(policy)}" for prefix, policy in by_prefix.items()]
    said = ";".join(names)
    if options.enable_transport and len(said.encode()) > POLICIES_BYTES_MAX:
        raise InvalidArgumentError(
            f"conflict_policies take {len(said.encode())} bytes of a greeting, the limit is "
            f"{POLICIES_BYTES_MAX}: use fewer or shorter prefixes"
        )
    return Policies(
        named(options.conflict_policy),
        {prefix: named(policy) for prefix, policy in by_prefix.items()},
        said,
    )


def engine_options(options: ClientOptions) -> EngineOptions:
    """Give the engine's part of the settings, in its units."""
    return EngineOptions(
        cluster=options.cluster,
        batch=Limits(options.sync_batch_size, options.sync_batch_bytes),
        window=options.sync_window,
        max_retries=options.max_sync_retries,
        retry_interval_ms=max(1, round(options.retry_interval * 1000)),
        ack_timeout_ms=max(1, round(options.ack_timeout * 1000)),
        tick_interval_ms=max(1, round(options.tick_interval * 1000)),
        max_offline_ms=round(options.max_offline * 1000),
        require_ack=options.require_ack,
        auto_queue=options.auto_queue,
    )


def merge_function(options: ClientOptions, key: str) -> MergeFunction:
    """Give the application's function for a key whose policy is to merge."""
    policies = options.conflict_policies
    prefixes = [prefix for prefix in policies if key.startswith(prefix)]
    chosen = policies[max(prefixes, key=len)] if prefixes else options.conflict_policy
    assert not isinstance(chosen, str)
    return chosen


def describe(options: ClientOptions, *, started_at_ms: int, now_ms: int) -> NodeInfo:
    """Describe the node, with what it runs on."""
    return describe_node(
        node_id=options.node_id,
        display_name=options.display_name,
        version=options.version,
        started_at_ms=started_at_ms,
        now_ms=now_ms,
        capabilities=capabilities_of(options),
    )


def capabilities_of(options: ClientOptions) -> frozenset[str]:
    """Give what the node can do, as `NodeInfo` names it."""
    capabilities = {"core", "store", "sync", "metadata"}
    if options.enable_wal:
        capabilities.add("wal")
    if options.enable_transport:
        capabilities.add("transport")
    if options.enable_discovery:
        capabilities.add("discovery")
    return frozenset(capabilities)
