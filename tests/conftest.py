import os

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would fold
# Before numpy is imported: workers share the cores, and threads of theirs would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hundreds of processes of the tests would compile every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
