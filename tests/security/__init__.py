"""Keys, the files of keys, and pairing; without a socket."""
