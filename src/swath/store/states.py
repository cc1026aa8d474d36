"""The states of a trial, as stored, as reported while it runs, and as shown."""

from enum import StrEnum


class State(StrEnum):
    """What has become of a trial; equal to its text, which is what files hold.

    COMPLETE, STOPPED and FAILED are final and stored in trial.json. RUNNING and ELSEWHERE are what a running trial
    reports. UNFINISHED, NOT_RUN and UNREADABLE are what a reader of the store concludes.
    """

    COMPLETE = "COMPLETE"
    """Trained to its last epoch."""
    STOPPED = "STOPPED"
    """Ended by the stopping rule at a rung."""
    FAILED = "FAILED"
    """Ended by an error."""
    RUNNING = "RUNNING"
    """Between two epochs."""
    ELSEWHERE = "ELSEWHERE"
    """Not trained here: another driver is at work on it, or has finished it."""
    UNFINISHED = "UNFINISHED"
    """Epochs or a lease, but no final state."""
    NOT_RUN = "NOT RUN"
    """Neither epochs nor a lease."""
    UNREADABLE = "UNREADABLE"
    """COMPLETE, but its predictions cannot be used."""
