"""How a node and its peers are, and why something is not in step. Pure, as `store` and `sync` are.

In reading order: `standing.py` how a peer stands; `holds.py` who holds tombstones back;
`pulse.py` all of a node but its log; `obstacles.py` what keeps a write from a peer; `keys.py` and
`peers.py` the explanation of a key and of a peer; `readiness.py` whether the node is in order;
`metrics.py` and `exposition.py` what Prometheus reads. The values are `softadastra/vitals.py` and
`softadastra/explanation.py`; `softadastra/sentences.py` puts findings into words.
"""

from __future__ import annotations

__all__: list[str] = []
