"""Evaluations of what a model's answers take: time, memory, energy."""
