"""What a cluster would do with 10,000 hours of recordings, and what Ray costs on the cores of one machine.

    corpora.py       which recordings there are, and how they are cut
    simulation.py    a cluster, event by event
    calibration.py   what its parts cost, measured here
    cases.py         which clusters are simulated
    suite.py         measures, simulates, tells
    overhead.py      the same pieces by local processes and by Ray, in turn
    pieces.py        what processes are given to do

What was not measured is assumed in corpora.py and cases.py, and nowhere else.
"""


def run(*options: str) -> None:
    """`python -m benchmarks scaling`, and with `--overhead` what Ray costs instead."""
    if options:
        from benchmarks.scaling import overhead

        overhead.run()
    else:
        from benchmarks.scaling import suite

        suite.run()
