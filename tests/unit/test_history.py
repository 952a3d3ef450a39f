"""What is counted as training."""

from comfy_genart_nodes.training.history import spent_seconds

DAY = 24 * 3600.0


def test_hours_without_a_process_that_trains_are_not_counted():
    """A process that finds a damaged checkpoint, or no memory, says so a day later."""
    first = [("started", 0.0), ("progress", 300.0), ("checkpoint", 600.0)]
    second = [("resumed", DAY + 5), ("progress", DAY + 65)]
    for between in ("unreadable", "failed"):
        course = [*first, (between, DAY), *second, (between, 2 * DAY)]
        assert spent_seconds({"event": kind, "time": time} for kind, time in course) == 660.0
