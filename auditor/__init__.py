"""Model Auditor: the web service, its domain and its command line."""

__version__ = "0.1.0"
