"""Many cameras on many machines: where their processes run, and that they do."""
