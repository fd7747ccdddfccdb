"""What a key adds to the digest, and to the other sums over a whole store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from xxhash import xxh3_128_intdigest

from softadastra.store.siblings import Sibling, shown

__all__ = ["MASK_128", "fingerprint", "values_size", "weigh"]

MASK_64: Final = 2**64 - 1
MASK_128: Final = 2**128 - 1


def fingerprint(key: str, sibling: Sibling) -> int:
    """Give what one live sibling adds to the digest: a hash of key, version and value.

    XXH3 is not cryptographic: members are trusted with the data. 0.2 us; BLAKE2b takes 0.6.
    """
    # The length keeps apart what the bytes alone do not: where the key ends.
    seed = (sibling[3] << 17 | len(key)) & MASK_64
    return xxh3_128_intdigest(key.encode() + sibling[4], seed)


def weigh(key: str, siblings: tuple[Sibling, ...]) -> tuple[int, int]:
    """Give what a key of several siblings adds to the digest, and to the number of keys."""
    if not any(sibling[4] for sibling in shown(siblings)):
        # Also where a remove has settled a conflict of values: it is collected with them.
        return 0, 0
    return sum(fingerprint(key, sibling) for sibling in siblings if sibling[4]), 1


def values_size(siblings: Iterable[Sibling]) -> int:
    """Give how many bytes the packed values of siblings have."""
    return sum([len(sibling[4]) for sibling in siblings])
