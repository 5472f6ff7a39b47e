"""Generated pages of the site: the HTTP operations from the OpenAPI document,
and the README files of packages. A hook of mkdocs.
"""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from gram_lab.cli import COMMANDS, main
from gram_server.app import create_app
from gram_server.jobs.memory_store import MemoryStore
from gram_server.settings import QueueConfig, Settings

ROOT = Path(__file__).parents[2]
READMES = {
    "reference/client.md": "clients/python/README.md",
    "reference/kernels.md": "kernels/README.md",
    "reference/lab.md": "lab/README.md",
    "reference/kubernetes.md": "docker/kubernetes/gram-server/README.md",
}

Json = Mapping[str, Any]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    made = {name: (ROOT / source).read_text("utf-8") for name, source in READMES.items()}
    made["reference/http.md"] = http_page(openapi())
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave the folder to their pages; links to source files become text."""
    if page.file.src_uri == "reference/commands.md":
        markdown += "".join(option_pages())
    up = "../" * page.file.src_uri.count("/")
    for name, source in {**READMES, "index.md": "README.md"}.items():
        link = rf"\]\((?:\.\./)+{re.escape(source)}(#\w+)?\)"
        markdown = re.sub(link, f"]({up}{name})", markdown)
    markdown = re.sub(r"\]\((?:\.\./)+docs/", f"]({up}", markdown)
    folder = posixpath.dirname(page.file.src_uri)

    def linked(match: re.Match[str]) -> str:
        """Return a link to a file of the site, or the text of any other."""
        path = match[2].partition("#")[0]
        place = posixpath.normpath(posixpath.join(folder, path))
        return match[0] if files.get_file_from_path(place) else match[1]

    # A README's links are relative to the README, not to its page.
    away = r"(?!https?:|#)" if page.file.src_uri in READMES else r"(?:\.\./)+"
    return re.sub(rf"!?\[([^\]]*)\]\(({away}[^)]*)\)", linked, markdown)


def openapi() -> Json:
    return create_app(Settings(), store=MemoryStore(QueueConfig())).openapi()


def http_page(document: Json) -> str:
    lines = [
        "# Every HTTP operation",
        "",
        "Made from the OpenAPI document, which a server publishes at `/openapi.json` and shows at "
        "`/docs`. What a schema cannot say stands in [The HTTP interface](../api.md).",
        "",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            lines += _operation(method.upper(), path, operation)
    lines += ["## Schemas", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines)


def option_pages() -> Iterator[str]:
    """Yield the help of the lab's commands, as printed."""
    yield "\n## gram-lab\n"
    for name in COMMANDS:
        text = _help_of(name)
        yield f"\n### gram-lab {name}\n\n```text\n{text}```\n"
        for part in re.findall(r"^ {4}([a-z]+)  ", text, re.MULTILINE):
            if name == "bench":
                yield f"\n#### gram-lab bench {part}\n\n```text\n{_help_of(name, part)}```\n"


def _help_of(*words: str) -> str:
    """Return the help that a lab command prints, without a process that loads torch for each."""
    printed = StringIO()
    os.environ["COLUMNS"] = "100"
    with redirect_stdout(printed), suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue()


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield from (f"## {method} {path}", "", operation.get("summary", ""), "")
    if description := operation.get("description"):
        yield from (description, "")
    if parameters := operation.get("parameters"):
        yield from ("| parameter | in | type | default | |", "|---|---|---|---|---|")
        for parameter in parameters:
            schema = parameter.get("schema", {})
            default = schema.get("default")
            shown = "" if default is None else f"`{str(default).lower()}`"
            yield (
                f"| `{parameter['name']}` | {parameter['in']} | {_type(schema)} | {shown} "
                f"| {_cell(parameter.get('description', ''))} |"
            )
        yield ""
    if body := operation.get("requestBody"):
        for media_type, content in body["content"].items():
            yield f"Body, `{media_type}`: {_type(content['schema'])}"
            yield ""
    yield from ("| status | | content |", "|---|---|---|")
    for status, response in operation["responses"].items():
        kinds = (
            f"`{media_type}` {_type(content.get('schema', {}))}"
            for media_type, content in response.get("content", {}).items()
        )
        yield f"| {status} | {_cell(response.get('description', ''))} | {'<br>'.join(kinds)} |"
    yield ""


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield from (f"### {name}", "", _cell(schema.get("description", "")), "")
    required = set(schema.get("required", ()))
    yield from ("| field | type | |", "|---|---|---|")
    for field, kind in schema.get("properties", {}).items():
        mark = "" if field in required else " (optional)"
        yield f"| `{field}` | {_type(kind)}{mark} | {_cell(kind.get('description', ''))} |"
    yield ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_type(part) for part in schema[word]))
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    limits = [str(schema[name]) for name in ("minimum", "maximum") if name in schema]
    events = " ".join(
        f"`{kind}` {_type(data)}" for kind, data in schema.get("x-events", {}).items()
    )
    words = (str(schema.get("type", "any")), " to ".join(limits), events)
    return " ".join(word for word in words if word)


def _cell(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text).replace("|", "\\|")
