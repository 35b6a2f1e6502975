import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would fold
