"""Tasks in the YAML of lm-evaluation-harness 0.4: read, prompted, filtered and scored, with none of their Python."""
