"""The parts of the documentation that are read from the code, as Markdown or text.

interface.py   every public name with its signature
sources.py     fields of a class with the comments beside them
commands.py    the command line, from the help of each command
settings.py    the settings of each stage
events.py      the event schema
metrics.py     what Prometheus finds
modules.py     what is in which file
layers.py      who may import whom
"""
