"""Reading and sampling data sets."""
