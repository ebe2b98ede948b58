"""Events for other programs: spreadsheets, ELAN, Praat, BORIS, BIDS, and Lab Streaming Layer while they happen.

    reading.py   a journal or a file of events: what happened, and what people say about it
    rows.py      the one table from which every format is made: a row for each event, its times in milliseconds
    cells.py     a row as text, for the formats that are tables
    table.py     csv
    lines.py     jsonl, which `reading` reads again
    elan.py      ELAN annotations
    textgrid.py  Praat TextGrid
    boris.py     the tabular events of BORIS
    bids.py      BIDS events.tsv and its sidecar
    export.py    formats by name, and files that appear whole or not at all
    lsl.py       markers in Lab Streaming Layer

A format is a function from rows to files (suffix -> bytes): the same rows give the same bytes.
"""
