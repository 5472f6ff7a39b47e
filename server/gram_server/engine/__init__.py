"""Trajectory-level continuous batching; speaks neither HTTP nor Redis nor asyncio."""

from gram_server.engine.engine import Engine
from gram_server.engine.runner import Runner, StepReport
from gram_server.engine.trajectory import (
    EngineEvent,
    EngineJob,
    Finished,
    FoundSolution,
    Sight,
    Snapshot,
    Trajectory,
)

__all__ = [
    "Engine",
    "EngineEvent",
    "EngineJob",
    "Finished",
    "FoundSolution",
    "Runner",
    "Sight",
    "Snapshot",
    "StepReport",
    "Trajectory",
]
