"""The command line `auditor` and its HTTP client. No Django, no torch: this is the base install."""
