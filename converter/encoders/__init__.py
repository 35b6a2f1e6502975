"""Text encoders: a folder as Hugging Face lays it out -> one sealed, verified ONNX file."""
