"""How a node and its peers are, and why something is not in step."""
