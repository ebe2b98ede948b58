"""Wires the stages into processes; the only place where they meet.

capturing.py    source -> face alignment -> frames socket                     (`bowam capture`)
working.py      frames socket -> spotter -> network -> journal -> event topic (`bowam worker`)
supervisor.py   starts both, watches them, ends them in order
replaying.py    one recording through both, lossless                          (`bowam replay`, `bowam demo`)
living.py       one camera through both, for as long as it lasts              (`bowam live`)
tap.py          listens to the event topic meanwhile, for the terminal
summary.py      what a worker leaves of a recording when it is over
arguments.py    command lines without passwords
stop.py         when a process should end
"""
