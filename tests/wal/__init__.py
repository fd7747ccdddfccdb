"""The write-ahead log: its bytes, its recovery, its faults, its lock."""
