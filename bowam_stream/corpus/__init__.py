"""Many recordings, on as many machines as there are: what `bowam replay FOLDER` does."""
