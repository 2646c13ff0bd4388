import threading

import pytest

from artifact_utils.audit.threads import in_order


def test_results_come_in_order_and_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    results = in_order(lambda i: i * i, items(), 4)
    assert [next(results) for _ in range(10)] == [i * i for i in range(10)]
    assert len(taken) < 100
    assert list(results) == [i * i for i in range(10, 1000)]


def test_an_error_stops_what_has_not_begun():
    started, failed = [], threading.Event()

    def work(i):
        if i == 0:
            failed.set()
            raise ValueError("no")
        failed.wait()
        started.append(i)

    with pytest.raises(ValueError, match="no"):
        list(in_order(work, range(1000), 1))
    assert len(started) < 100
