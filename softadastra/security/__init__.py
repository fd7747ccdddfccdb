"""Who a node is to others, and whom it lets in: keys, files of keys, and pairing.

Nothing here opens a socket or encrypts anything: CURVE is libzmq's, and `transport/` asks this
package whose key counts. Reading order:

- `keys.py`: key pairs, and public keys as people write them
- `trusted.py`: which key belongs to which node, as lines of text
- `private_files.py`: files that only their owner may read or change
- `key_file.py`, `trust_file.py`: the two files of a node
- `keyring.py`: both of them as a running node sees them, reread while it runs
- `repeats.py`: which of many like failures are worth telling
- `introductions.py`, `exchange.py`, `window.py`: pairing: its messages, two nodes, two minutes
"""
