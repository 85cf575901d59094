"""What may be stored as a model, told from its files alone. Pure and light: nothing is loaded, run or unpickled."""
