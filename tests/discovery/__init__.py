"""Discovery without a network, and without time."""
