"""Real faults of disk, process and system, each through the real call: `make faults`."""
