"""What all tests share."""

import os

# Many small computations gain nothing by threads, and two programs whose threads wait for each other lose much.
os.environ.setdefault("OMP_NUM_THREADS", "1")
