"""`python -m bowam_stream.cli` is `bowam`; the supervisor starts its processes this way."""

from bowam_stream.cli import main

main()
