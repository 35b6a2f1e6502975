"""Text encoders: from a folder in Hugging Face's layout to one sealed, verified ONNX file."""
