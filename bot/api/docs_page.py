"""The OpenAPI document as a page: every address, every field, every message. No script, and nothing from elsewhere."""

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

Document = dict[str, Any]
Schema = dict[str, Any]

_NAMES = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "null"}


def as_html(written: Document) -> str:
    """The page's body."""
    schemas = written["components"]["schemas"]
    operations = [
        _operation(path, method, operation, schemas) for path, methods in written["paths"].items() for method, operation in methods.items()
    ]
    about = f"<p>{escape(written['info']['description'])}</p>"
    link = '<p>As a document for programs: <a href="/api/openapi.json">/api/openapi.json</a> (OpenAPI 3.1).</p>'
    return "\n".join(
        [
            about,
            link,
            "<h2>Addresses</h2>",
            *operations,
            '<h2 id="schemas">What bodies, answers and messages are made of</h2>',
            *_all(schemas),
        ]
    )


def _all(schemas: Document) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        yield f'<h3 id="{_anchor(name)}">{escape(name)}</h3>{_fields(schema)}'


def _operation(path: str, method: str, operation: Document, schemas: Document) -> str:
    parts = [f"<p>{escape(operation['description'])}</p>", _parameters(operation.get("parameters", ()))]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Body: <code>{escape(media)}</code></h3>{_body(content.get('schema'), schemas)}")
    parts.append(_answers(operation["responses"]))
    told = operation.get("x-messages", {})
    for who, heading in (("client", "Messages that a client sends"), ("server", "Messages that come")):
        if models := told.get(who):
            parts.append(f"<h3>{heading}</h3>{''.join(_message(model['$ref'], schemas) for model in models)}")
    return f"""<details><summary><code><strong>{method.upper()}</strong> {escape(path)}</code> {escape(operation["summary"])}</summary>
{"".join(parts)}</details>"""


def _parameters(parameters: Iterable[Document]) -> str:
    rows = [
        (escape(p["name"]), f"{_type(p['schema'])}, in the {p['in']}", _required(p["required"]), escape(p["schema"].get("description", "")))
        for p in parameters
    ]
    return f"<h3>Parameters</h3>{_table(('Name', 'Type', 'Required', 'Meaning'), rows)}" if rows else ""


def _answers(responses: Document) -> str:
    rows = [(status, escape(a["description"]), ", ".join(_contents(a.get("content", {})))) for status, a in responses.items()]
    return f"<h3>Answers</h3>{_table(('Status', 'Meaning', 'Content'), rows)}"


def _contents(content: Document) -> Iterator[str]:
    for media, described in content.items():
        schema = described.get("schema")
        yield escape(media) + (f": {_type(schema)}" if schema else "")


def _body(schema: Schema | None, schemas: Document) -> str:
    """A body's fields, where it has some."""
    if schema is None:
        return ""
    return _fields(schemas[_name(schema["$ref"])] if "$ref" in schema else schema)


def _message(reference: str, schemas: Document) -> str:
    name = _name(reference)
    return f"<h4>{escape(name)}</h4>{_fields(schemas[name])}"


def _fields(schema: Schema) -> str:
    about = f"<p>{escape(schema.get('description', ''))}</p>"
    if "properties" not in schema:
        return f"{about}<p>{_type(schema)}</p>"
    required = schema.get("required", ())
    rows = [
        (f"<code>{escape(name)}</code>", _type(field), _required(name in required), escape(field.get("description", "")))
        for name, field in schema["properties"].items()
    ]
    return about + _table(("Field", "Type", "Required", "Meaning"), rows)


def _type(schema: Schema) -> str:
    """In words; other schemas as links."""
    if "$ref" in schema:
        return f'<a href="#{_anchor(_name(schema["$ref"]))}">{escape(_name(schema["$ref"]))}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
    return _plain(schema) + _limits(schema)


def _plain(schema: Schema) -> str:
    match schema.get("type", "anything"):
        case "array":
            return f"list of {_type(schema.get('items', {}))}"
        case "object":
            values = schema.get("additionalProperties")
            return f"object: any name → {_type(values)}" if isinstance(values, dict) else "object"
        case kind:
            return _NAMES.get(kind, str(kind))


def _limits(schema: Schema) -> str:
    told = [f" ({schema['format']})"] if "format" in schema else []
    for least, most, of in (("minLength", "maxLength", " characters"), ("minimum", "maximum", "")):
        match schema.get(least), schema.get(most):
            case None, None:
                continue
            case low, None:
                told.append(f", at least {low}{of}")
            case None, high:
                told.append(f", at most {high}{of}")
            case low, high:
                told.append(f", {low} to {high}{of}")
    if "default" in schema and schema["default"] not in (None, ""):
        told.append(f", {str(schema['default']).lower()} if not given")
    return escape("".join(told))


def _required(required: bool) -> str:
    return "yes" if required else "no"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _anchor(name: str) -> str:
    return f"schema-{escape(name)}"
