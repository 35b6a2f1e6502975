"""What a reviewer reads of artifacts: one page, one summary, and all numbers of both."""
