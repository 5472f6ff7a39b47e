"""Turns the options of the command into measurements, each one a document as it is done."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from gram_core import puzzles
from gram_core.catalog import ModelInfo, find_model, shipped_models
from gram_core.checkpoint import LoadedModel, load_model
from gram_core.errors import ConfigError
from gram_lab.data.instances import Case, read_cases
from gram_lab.data.pools import EDGE_PROBABILITIES
from gram_lab.evaluate.cost import card_block
from gram_lab.evaluate.curve_report import CurveReport, write_curves
from gram_lab.evaluate.curves import curve
from gram_lab.evaluate.options import running
from gram_lab.evaluate.page import PAPER_TABLES, SELECTION, write_tables
from gram_lab.evaluate.paper import paper_tables
from gram_lab.evaluate.plan import Plan, contenders
from gram_lab.evaluate.plots import require_plots
from gram_lab.evaluate.selection_table import WIDTHS, selection_table
from gram_lab.evaluate.trial import Trial
from gram_lab.evaluate.variants import NO_NOISE, NO_VIEWS


class Document(NamedTuple):
    """One measurement, for programs and for people."""

    values: dict[str, object]
    markdown: str


def measurements(options: argparse.Namespace, command: str) -> Iterator[Document]:
    """Yield what the options ask for beside solve rates."""
    if options.selection:
        yield _selection(options, command)
    elif options.curves:
        yield _curves(options, command)
    elif options.card:
        yield _card(options, command)
    else:
        yield from _paper_tables(options, command)


def is_measurement(options: argparse.Namespace) -> bool:
    """Say whether more than solve rates is asked for; a model that generates solves nothing."""
    is_asked = options.selection or options.curves or options.card or options.paper_tables
    return bool(is_asked) or loaded_model(options).info.purpose == "generate"


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


def _paper_tables(options: argparse.Namespace, command: str) -> Iterator[Document]:
    models = _models(options)
    trial = _trial(options, models)
    for table in paper_tables(models, _plan(options, command), trial):
        if options.output:
            write_tables(options.output, PAPER_TABLES, [table])
        yield Document(table.to_json(), table.to_markdown())


def _selection(options: argparse.Namespace, command: str) -> Document:
    loaded = loaded_model(options)
    table = selection_table(
        loaded,
        cases_for(loaded, options),
        _plan(options, command),
        data=data_name(options),
        depth=options.depth or loaded.info.depth,
        halting=options.halt,
        widths=options.widths or WIDTHS,
    )
    if options.output:
        write_tables(options.output, SELECTION, [table])
    return Document(table.to_json(), table.to_markdown())


def _curves(options: argparse.Namespace, command: str) -> Document:
    if options.output:
        # Not after an hour of measuring.
        require_plots()
    loaded, plan = loaded_model(options), _plan(options, command)
    cases = cases_for(loaded, options)
    report = CurveReport(
        loaded.info.name,
        plan.facts(loaded, cases, data_name(options)),
        tuple(
            curve(contender, cases, plan, budget=options.budget)
            for contender in contenders(loaded, plan, ablations=(NO_NOISE, NO_VIEWS))
        ),
    )
    if options.output:
        write_curves(options.output, report)
    return Document(report.to_json(), report.to_markdown())


def _card(options: argparse.Namespace, command: str) -> Document:
    loaded, plan = loaded_model(options), _plan(options, command)
    values, lines = card_block(loaded, plan, _trial(options, [loaded]), budget=options.budget)
    return Document(values, "\n".join(lines))
