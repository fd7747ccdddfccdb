"""The transport, over real sockets on loopback."""
