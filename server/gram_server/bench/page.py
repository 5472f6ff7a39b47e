"""A batching measurement as a short Markdown page."""

Json = dict[str, object]


def render(result: Json) -> str:
    """Return the result as a short Markdown page."""
    environment, results, ratios = (
        result["environment"],
        result["results"],
        result["against_static"],
    )
    assert isinstance(environment, dict)
    assert isinstance(results, list)
    assert isinstance(ratios, list)
    lines = [
        "# Continuous against static batching",
        "",
        "{num_puzzles} puzzles of {task} ({data}), width {width}, depth {depth}, {num_slots} "
        "slots, model {model}, seed {seed}.".format(**environment),
        "{processor}, {num_threads} thread(s), torch {torch}, Python {python}.".format(
            **environment
        ),
        "",
        "| batching | supervision steps | rows computed x steps | seconds | CPU seconds "
        "| puzzles/s | solved |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        "| {batching} | {supervision_steps} | {row_steps} | {wall_s:.1f} | {cpu_s:.1f} "
        "| {puzzles_per_s:.2f} | {num_solved} |".format(**row)
        for row in results
    ]
    lines += ["", "| against static | fewer supervision steps | throughput |", "|---|---:|---:|"]
    lines += [
        "| {batching} | {fewer_supervision_steps:.2f}x | {throughput:.2f}x |".format(**row)
        for row in ratios
    ]
    return "\n".join(lines) + "\n"
