"""What the files of a model could do to whoever loads them."""
