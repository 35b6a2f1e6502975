import os

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would fold
