"""
The benchmark: ours and the peers on the same problems, with equal time on one core.

A *suite* is a set of cases with one purpose; a *case* is an instance for a solver with a seed and seconds.
Each case runs in a process of its own and leaves one line in the results, so that a run that was cut short
goes on where it ended. The table and the plot are made from these lines alone.
"""
