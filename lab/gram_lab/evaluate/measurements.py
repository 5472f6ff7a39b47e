"""Turns the options of the command into measurements, each one a document as it is done."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gram_core import puzzles
from gram_core.catalog import ModelInfo, find_model, shipped_models
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.errors import ConfigError
from gram_lab.data.instances import Case, read_cases
from gram_lab.data.pools import EDGE_PROBABILITIES
from gram_lab.evaluate.generation_table import NUM_SAMPLES, generation_table
from gram_lab.evaluate.grid import grid_table
from gram_lab.evaluate.options import running
from gram_lab.evaluate.plan import Plan
from gram_lab.evaluate.sampling_table import sampling_table
from gram_lab.evaluate.solving_table import solving_table
from gram_lab.evaluate.table import GRID, PAPER_TABLES, Table, write_tables
from gram_lab.evaluate.trial import Trial, puzzles_of

WITH_MANY_SOLUTIONS = ("nqueens", "graph-coloring")


def measurements(options: argparse.Namespace, command: str) -> Iterator[Table]:
    """Yield what the options ask for beside solve rates, and write it where they want it."""
    page = GRID if options.grid else PAPER_TABLES
    tables = iter([_grid(options, command)]) if options.grid else _paper_tables(options, command)
    for table in tables:
        if options.output:
            write_tables(options.output, page, [table])
        yield table


def is_measurement(options: argparse.Namespace) -> bool:
    """Say whether more than solve rates is asked for; a model that generates solves nothing."""
    return options.grid or options.paper_tables or loaded_model(options).info.purpose == "generate"


def model_for(puzzle: str, model: str | None) -> ModelInfo:
    """Return the model at a path, or the shipped model for a task or family."""
    if model:
        return find_model(model)
    chosen = _shipped([puzzle])
    return chosen[0] if chosen else find_model(puzzle)


def loaded_model(options: argparse.Namespace) -> LoadedModel:
    """Return the one model that the options name."""
    if options.puzzle is None and options.model is None:
        raise ConfigError("puzzle", None, "name a task, such as sudoku-9x9, or pass --model")
    return load_model(model_for(options.puzzle, options.model), options.device)


def cases_for(loaded: LoadedModel, options: argparse.Namespace) -> list[Case]:
    """Return the puzzles that the options want a model measured on."""
    return read_cases(
        loaded.task,
        options.data,
        limit=options.limit,
        edge_probabilities=options.edge_probability or EDGE_PROBABILITIES,
    )


def data_name(options: argparse.Namespace) -> str:
    """Return what those puzzles are, in words."""
    return options.data.name if options.data else "held-out, generated"


def _shipped(names: Sequence[str]) -> list[ModelInfo]:
    return [info for info in shipped_models() if _names(info) & set(names)]


def _names(info: ModelInfo) -> set[str]:
    """What a shipped model may be asked for by."""
    if info.purpose == "generate":
        return {info.name, info.purpose}
    return {info.name, info.task, puzzles.task(info.task).family}


def _models(options: argparse.Namespace) -> list[LoadedModel]:
    """Return the models that tables are wanted of: one, those of some tasks, or all shipped."""
    if options.model or options.puzzle:
        return [loaded_model(options)]
    chosen = _shipped(options.tables) if options.tables else list(shipped_models())
    if not chosen:
        raise ConfigError("tables", options.tables, "no shipped model is for any of these")
    return [load_model(info, options.device) for info in chosen]


def _plan(options: argparse.Namespace, command: str) -> Plan:
    return Plan(
        command=command,
        running=running(options),
        seeds=options.seeds or (options.seed,),
        has_ablations=not options.no_ablations,
        twins=tuple(load_model(find_model(each), options.device) for each in options.twin),
    )


def _trial(options: argparse.Namespace, models: Sequence[LoadedModel]) -> Trial:
    trial = Trial(data=options.data, limit=options.limit)
    if len(models) == 1:
        trial = replace(trial, data_task=models[0].task.name)
    if options.edge_probability:
        return replace(trial, edge_probabilities=(options.edge_probability,))
    return trial


def _paper_tables(options: argparse.Namespace, command: str) -> Iterator[Table]:
    models, plan = _models(options), _plan(options, command)
    trial = _trial(options, models)
    for loaded in models:
        if loaded.info.purpose == "generate":
            yield generation_table(loaded, plan, num_samples=trial.limit or NUM_SAMPLES)
            continue
        make = sampling_table if loaded.task.family in WITH_MANY_SOLUTIONS else solving_table
        for each in puzzles_of(loaded.task, trial):
            yield make(loaded, each, plan)


def _grid(options: argparse.Namespace, command: str) -> Table:
    loaded = loaded_model(options)
    return grid_table(
        loaded,
        cases_for(loaded, options),
        _plan(options, command),
        data=data_name(options),
        width=options.width,
        depth=options.depth or loaded.info.depth,
    )
