"""Evaluations of explanations: whether attributions say what the model really uses."""
