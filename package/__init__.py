"""Turns the trained model selectors of a semantic router into ONNX, and picks the language model for a query."""

__version__ = "0.1.0"
