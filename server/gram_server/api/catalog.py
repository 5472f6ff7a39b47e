"""Routes that list puzzle families, loaded models and kinds of problem."""

from fastapi import APIRouter, HTTPException

from gram_core.puzzles import families
from gram_server.api.errors import CATALOGUE
from gram_server.api.openapi import KEY_PROBLEMS, problems
from gram_server.api.schemas import ModelInfo, ModelList, ProblemKind, PuzzleInfo, PuzzleList
from gram_server.api.state import AppState


def catalog_router(state: AppState) -> APIRouter:
    router = APIRouter(tags=["catalog"])

    @router.get("/puzzles", operation_id="list_puzzles", responses=problems(*KEY_PROBLEMS))
    async def list_puzzles() -> PuzzleList:
        """List the puzzle families and their well-known sizes."""
        return PuzzleList(
            puzzles=[
                PuzzleInfo(name=family.name, tasks=list(family.tasks()))
                for family in families().values()
            ]
        )

    @router.get("/models", operation_id="list_models", responses=problems(*KEY_PROBLEMS))
    async def list_models() -> ModelList:
        """List the models that workers have loaded; empty until one is ready."""
        await state.workers.refresh()
        fields = ModelInfo.model_fields
        models = [
            ModelInfo.model_validate({name: getattr(model, name) for name in fields})
            for model in state.workers.models
        ]
        return ModelList(models=models)

    @router.get(
        "/problems/{code}", operation_id="describe_problem", responses=problems("not_found")
    )
    async def describe_problem(code: str) -> ProblemKind:
        """Describe a kind of problem: what the `type` of a problem document points at."""
        if code not in CATALOGUE:
            raise HTTPException(404, "not found")
        kind = CATALOGUE[code]
        fixed = {"title": kind.title, "status": kind.status, "retryable": kind.is_retryable}
        return ProblemKind(type=kind.uri, code=code, **fixed)

    return router
