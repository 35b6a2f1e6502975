"""What the JSON files of all algorithms have in common."""
