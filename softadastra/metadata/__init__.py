"""Who this node is: its identity, and the machine it runs on."""
