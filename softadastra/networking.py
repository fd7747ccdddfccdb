"""The transport and the keys that a node's options ask for.

Everything that needs ZeroMQ is imported when it is called: a node without a network needs none of
it (40 ms).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softadastra.errors import StoreError
from softadastra.options import ClientOptions

if TYPE_CHECKING:
    from softadastra.security.keyring import Keyring
    from softadastra.security.keys import KeyPair
    from softadastra.transport.links import Transport

__all__ = ["listening_transport", "make_keys", "own_keys"]


def listening_transport(options: ClientOptions) -> tuple[Transport, int]:
    """Make a transport, and let it listen; give the port that is bound.

    With `security`, the node's key pair is made when there is none.

    Raises:
        TransportError: the address cannot be bound, this libzmq has no CURVE, nothing shows that
            strangers are refused, or too few descriptors are left.
        StoreError: others can read the key pair or change the list of trusted keys, or one of the
            two cannot be read.
        StorageError: the system refused one of the files.
    """
    from softadastra.transport.zeromq import ZeroMQTransport

    transport = ZeroMQTransport(None if options.security is None else _keyring(options))
    try:
        return transport, transport.bind(options.transport_host, options.transport_port)
    except BaseException:
        transport.close()
        raise


def own_keys(options: ClientOptions) -> KeyPair:
    """Give the node's key pair, which is made when there is none.

    Raises:
        StoreError, StorageError, TransportError: as `listening_transport`.
    """
    from softadastra.security.key_file import KeyFile
    from softadastra.transport.curve import new_key_pair, public_key_of

    file = KeyFile(options.resolved_key_path())
    pair = file.load_or_make(new_key_pair)
    if public_key_of(pair.secret) != pair.public:
        raise StoreError(
            f"the two keys in {str(file.path)!r} do not belong together: bring back a copy of the"
            " file, or remove it: a new pair is made, which all others have to trust anew",
            path=str(file.path),
        )
    return pair


def make_keys(options: ClientOptions) -> KeyPair:
    """Make the node's key pair.

    Raises:
        AlreadyExistsError: there is one, which stays as it is.
        StorageError, TransportError: as `listening_transport`.
    """
    from softadastra.security.key_file import KeyFile
    from softadastra.transport.curve import new_key_pair

    pair = new_key_pair()
    KeyFile(options.resolved_key_path()).make(pair)
    return pair


def _keyring(options: ClientOptions) -> Keyring:
    from softadastra.security.keyring import Keyring
    from softadastra.security.trust_file import TrustFile

    return Keyring(own_keys(options), TrustFile(options.resolved_trust_path()))
