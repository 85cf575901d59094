"""Evaluations of how a model holds under changed input."""
