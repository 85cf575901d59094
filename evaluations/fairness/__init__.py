"""Evaluations of how a model treats groups of people."""
