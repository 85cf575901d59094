"""Evaluations of machine-learning models: usable alone, knows nothing of the web service."""
