"""An OpenAI-compatible gateway that picks the model of each request; see docs/gateway.md."""
