"""
Other solvers on our problems, to measure ourselves by.

A peer plans the shipments of one assignment: it knows neither alternatives nor rows that routes share. What
it proposes is put on our clock, repaired where our rules are narrower, and costed as ours is
(:mod:`optimizer.peers.plan`). Peers see fresh days: a shift is one trip, and nothing is under way.

The solvers themselves are installed from ``requirements/bench.in``.
"""
