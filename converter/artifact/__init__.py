"""From a graph to a sealed artifact, and from an artifact back to its JSON model."""
