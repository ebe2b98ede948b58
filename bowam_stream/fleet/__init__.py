"""Many cameras on many machines: where their processes run, and that they do.

settings    FLEET.toml
plan        crews, and their ports
orders      what a crew shall run, as command lines
host        a crew on its node
board       what is known of all: fleet.json, targets.json
running     the loop of it all, on this machine
on_ray      ... and on a Ray cluster
"""
