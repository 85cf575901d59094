"""The demonstration: two real models on public data, pushed, audited and reported through the public interface."""
