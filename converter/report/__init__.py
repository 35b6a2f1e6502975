"""Reports on artifacts for reviewers: a page, a summary, and all numbers of both."""
