"""The nearest rows, exactly: every proof that a search in float32 needs."""
