"""Where in an answer what belongs to one text stands."""

from collections.abc import Mapping

from moderation.errors import ScoresUnreadable

ROOTS = ("predictions", "outputs")
"""Fields that hold one element a row: MLflow's, and that of its `inputs` form in some servers."""


def rows_of(answer: object, count: int) -> list[object]:
    """The rows of an answer; columns are turned into rows. Raises `ScoresUnreadable` when they are not `count`."""
    body = next((answer[n] for n in ROOTS if n in answer), answer) if isinstance(answer, Mapping) else answer
    if isinstance(body, Mapping) and body and all(isinstance(column, list) for column in body.values()):
        columns = {name: _counted(column, count) for name, column in body.items()}
        return [{name: column[i] for name, column in columns.items()} for i in range(count)]
    if isinstance(body, list):
        return _counted(body, count)
    raise ScoresUnreadable("The endpoint's answer has no list of predictions. Set DATABRICKS_SCORE_FIELD to where the score stands.")


def at_path(answer: object, path: str, row: int, count: int) -> object:
    """What stands at a dotted path for one text.

    The path is written for the first of the texts: the first list on the way has an element for each text, and a number in the
    path at that place (0) may be left out. It may begin at the answer's top, or inside a row of its predictions.

    Raises `ScoresUnreadable`, naming the path.
    """
    parts = path.split(".")
    if isinstance(answer, Mapping) and parts[0] not in answer:
        return _walk(rows_of(answer, count)[row], parts, path)
    node, placed = answer, False
    for n, part in enumerate(parts):
        if isinstance(node, list) and not placed:
            node, placed = _counted(node, count)[row], True
            if part.isdecimal():
                continue
        node = _step(node, part, path, ".".join(parts[:n]))
    return _counted(node, count)[row] if isinstance(node, list) and not placed else node


def _walk(node: object, parts: list[str], path: str) -> object:
    for n, part in enumerate(parts):
        node = _step(node, part, path, ".".join(parts[:n]))
    return node


def _step(node: object, part: str, path: str, before: str) -> object:
    if isinstance(node, Mapping) and part in node:
        return node[part]
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    where = f"after {before!r}" if before else "at its beginning"
    raise ScoresUnreadable(
        f"The endpoint's answer has nothing at {path!r}: there is no {part!r} {where}. Correct the path in the settings."
    )


def _counted(rows: list[object], count: int) -> list[object]:
    if len(rows) != count:
        raise ScoresUnreadable(f"The endpoint gives {len(rows)} predictions for {count} texts; a model must give one for each.")
    return rows
