"""What an artifact holds, read and checked before onnxruntime sees it."""
