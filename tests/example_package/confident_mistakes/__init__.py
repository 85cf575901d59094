"""How often a classifier is wrong while it is sure."""
