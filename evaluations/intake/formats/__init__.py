"""Readers that check one file format each, with the standard library alone. They load no model."""
