"""What a model writes when it is asked for what it should refuse, or is misled by what it reads."""
