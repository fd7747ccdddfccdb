"""What a cluster costs as it grows: simulated clusters, and the tables of docs/scale.md.

`cluster.py` drives real engines over a network that only delays, `phases.py` says what is
measured, `everyone.py` what one engine costs that was told everything, `report.py` makes the
tables, `topology.py` who is connected to whom.
"""
