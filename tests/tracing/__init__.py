"""The journey of a write, put together from logs."""
