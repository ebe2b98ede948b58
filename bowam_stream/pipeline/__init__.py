"""Wires the stages into processes; the only place where they meet.

capturing.py    source -> face alignment -> frames socket                     (`bowam capture`)
working.py      frames socket -> spotter -> network -> journal -> event topic (`bowam worker`)
supervisor.py   starts both, watches them, ends them in order
replaying.py    one recording through both, lossless                          (`bowam replay`, `bowam demo`)
living.py       one camera through both, for as long as it lasts              (`bowam live`)
in_memory.py    pictures in memory through the stages, in this process      (`spot`, `align`)
tap.py          listens to the event topic meanwhile, for the terminal
tally.py        the capture's books: what became of every decoded frame
stream.py       one open stream of a worker
recognising.py  the network beside the spotter, for live use
auditing.py     proof that running processes keep their promises
folder.py       the private folder of a run
view.py         what a worker shows to a page
wishes.py       what somebody asked for on that page
notify.py       how a process says that it lives, to systemd or to our supervisor
summary.py      what a worker leaves of a recording when it is over
arguments.py    command lines without passwords
stop.py         when a process should end
"""
