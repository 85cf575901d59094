"""The only way from a sandbox to the network: a broker in the supervisor that reaches one registered service."""
