"""A graph as a sealed artifact, and the JSON model back from it."""
