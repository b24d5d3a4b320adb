"""Who cancelled: somebody this task, or something else what it waited for."""

import asyncio


def being_cancelled() -> bool:
    """Whether somebody has asked the current task to stop.

    CancelledError alone does not tell: a call on a channel that is closed, for instance, raises it
    in tasks that nobody cancelled, whose callers still wait.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
