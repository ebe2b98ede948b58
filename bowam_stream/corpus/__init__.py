"""Many recordings, on as many machines as there are: `bowam replay CORPUS/ --out FOLDER`.

names.py      a camera's name for each recording
places.py     where recordings lie: paths and fsspec addresses
listing.py    what a corpus is: a folder, a manifest, an address
codec.py      what is kept of a piece of work, as bytes
shelf.py      the folder of a run: finished pieces, and who may write
pieces.py     what is done anywhere: survey, watch, recognise
run.py        who does what next, until all is done
results.py    what is left at the end: events, journal, report, failures
"""
