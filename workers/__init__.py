"""The processes that run audits: they supervise, and never load a model themselves."""
