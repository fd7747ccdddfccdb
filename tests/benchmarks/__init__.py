"""The product beside the same work done by its bare parts: `python -m tests.benchmarks`."""
