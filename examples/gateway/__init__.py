"""An OpenAI-compatible gateway: see README.md."""
