"""How the processes that pytest starts share the cores, whichever tests or notebooks it is asked to run."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two with two threads each would wait for each other
