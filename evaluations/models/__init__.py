"""The model under evaluation behind one small protocol per kind."""
