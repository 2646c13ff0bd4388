"""Starting Ray for tests: what it and its processes do without, so that a start takes seconds."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def prepare_environment() -> None:
    """Set the variables that Ray and botocore read, before either is imported."""
    here = [str(Path(__file__).parent / "quick_start"), str(ROOT), str(ROOT / "tests")]
    there = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in here]
    os.environ["PYTHONPATH"] = os.pathsep.join([*here, *there])
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # on a machine that does other things, too
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "300")  # of 60 a process without an answer ends
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # nobody is asked whether this is a machine of Amazon's
    os.environ["AWS_MAX_ATTEMPTS"] = "3"


def start_ray() -> None:
    import ray

    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=300 << 20,
    )  # fmt: skip
