"""Trajectory-level continuous batching; speaks neither HTTP nor Redis nor asyncio."""

from gram_server.engine.engine import Engine
from gram_server.engine.slots import Runner, StepReport
from gram_server.engine.trajectory import (
    EngineEvent,
    EngineJob,
    Finished,
    FoundSolution,
    Progress,
    Trajectory,
    TrajectoryView,
)

__all__ = [
    "Engine",
    "EngineEvent",
    "EngineJob",
    "Finished",
    "FoundSolution",
    "Progress",
    "Runner",
    "StepReport",
    "Trajectory",
    "TrajectoryView",
]
