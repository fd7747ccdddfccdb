"""Nodes that are asked from other processes."""
