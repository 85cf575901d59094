"""How models are queried efficiently."""
