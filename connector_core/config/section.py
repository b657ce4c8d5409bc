"""A plugin's own section: checked against the plugin's JSON Schema, its secrets wrapped, its defaults filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from connector_core.config.placeholders import Replaced
from connector_core.config.problems import KeyPath, Problem, did_you_mean
from connector_core.config.secrets import Secret
from connector_core.metaschema import errors, schema_error
from connector_core.plugins import Plugin

_TYPES = {"object": "a table", "array": "an array", "string": "text", "integer": "a whole number", "null": "null"}
_TYPES |= {"number": "a number", "boolean": "true or false"}


def check(
    schema: Mapping[str, Any], section: Mapping[str, Any], at: KeyPath, replaced: Replaced, folder: Path
) -> tuple[dict[str, Any], list[Problem]]:
    """The section as the plugin will get it (secrets as `Secret`), and what is wrong with it.

    `at` is the section's key path, `replaced` says which values came from variables or files: from those, texts
    become numbers and booleans where the schema asks for them. Texts of format "path" are completed from `folder`.
    No message holds a value.
    """
    plain = _with_types(schema, schema, _as_json(section), at, replaced)
    plain = _with_defaults(schema, schema, plain)
    problems = [problem for error in errors(schema, plain) for problem in _problems(error, at)]
    secret = set(secret_paths(schema, plain))
    for path, variable in replaced.several_lines.items():
        if path[: len(at)] == at and path[len(at) :] in secret:
            message = f"needs a secret without line breaks; the environment variable {variable} has several lines"
            problems.append(Problem(path=path, message=message, hint="set it anew, without the line end"))
    return _finished(plain, (), secret, set(_marked(schema, plain, _is_path)), folder), problems


def check_schema(plugin: Plugin) -> None:
    """Raise `PluginError` when the plugin's `config_schema` is not a JSON Schema."""
    if (wrong := schema_error(plugin.description.config_schema)) is not None:
        raise plugin.broken("describe", f"its config_schema is not a JSON Schema: {wrong.message}") from wrong


def secret_paths(schema: Mapping[str, Any], section: Any) -> Iterator[KeyPath]:
    """Paths of all texts in `section` that the schema, or a part of it that applies there, marks `writeOnly`."""
    return _marked(schema, section, _is_secret)


def _is_secret(part: Mapping[str, Any]) -> bool:
    return part.get("writeOnly") is True


def _is_path(part: Mapping[str, Any]) -> bool:
    return part.get("format") == "path"


def _marked(schema: Mapping[str, Any], section: Any, mark: Callable[[Mapping[str, Any]], bool]) -> Iterator[KeyPath]:
    """Paths of the texts for which `mark` holds in a schema that applies to them or to a container around them."""

    def walk(schemas: Iterable[Any], value: Any, path: KeyPath, marked: bool) -> Iterator[KeyPath]:
        parts = [part for inner in schemas for part in _applicable(schema, inner)]
        marked = marked or any(mark(part) for part in parts)
        if isinstance(value, str):
            if marked:
                yield path
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from walk([_property(part, key) for part in parts], item, (*path, key), marked)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from walk([part.get("items") for part in parts], item, (*path, index), marked)

    return walk([schema], section, (), False)


def _property(schema: Mapping[str, Any], key: str) -> Any:
    if key in (own := schema.get("properties", {})):
        return own[key]
    by_pattern = (inner for pattern, inner in schema.get("patternProperties", {}).items() if re.search(pattern, key))
    return next(by_pattern, schema.get("additionalProperties"))


def _applicable(root: Mapping[str, Any], schema: Any, seen: tuple[str, ...] = ()) -> Iterator[Mapping[str, Any]]:
    """A schema and all that it is made of at the same place: references and combinations."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#") and reference not in seen:
        yield from _applicable(root, _pointed(root, reference), (*seen, reference))
    for combination in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(combination, ()):
            yield from _applicable(root, part, seen)
    for branch in ("if", "then", "else"):
        yield from _applicable(root, schema.get(branch), seen)


def _pointed(root: Any, reference: str) -> Any:
    for part in reference.lstrip("#").strip("/").split("/"):
        if part:
            root = root.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(root, Mapping) else None
    return root


def _with_types(root: Mapping[str, Any], schema: Any, value: Any, path: KeyPath, replaced: Replaced) -> Any:
    parts = list(_applicable(root, schema))
    if isinstance(value, dict):
        return {
            key: _with_types(
                root, next((p for part in parts if (p := _property(part, key))), None), item, (*path, key), replaced
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        inner = next((part["items"] for part in parts if "items" in part), None)
        return [_with_types(root, inner, item, (*path, index), replaced) for index, item in enumerate(value)]
    if isinstance(value, str) and path in replaced.replaced:
        wanted = {part.get("type") for part in parts if isinstance(part.get("type"), str)}
        if wanted and "string" not in wanted:
            return _parsed(value)
    return value


def _parsed(text: str) -> Any:
    """A number or boolean that a variable holds as text; what is neither stays text, and the schema refuses it."""
    try:
        value = json.loads(text[:100])
    except ValueError:
        return text
    return value if isinstance(value, (int, float)) else text


def _with_defaults(root: Mapping[str, Any], schema: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    value = dict(value)
    for part in _applicable(root, schema):
        for key, inner in part.get("properties", {}).items():
            if key in value:
                value[key] = _with_defaults(root, inner, value[key])
            elif isinstance(inner, Mapping) and "default" in inner:
                value[key] = inner["default"]
    return value


def _as_json(value: Any) -> Any:
    """TOML's dates and times as texts: JSON, and so a plugin's schema, has none."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return value.isoformat() if isinstance(value, (date, time)) else value


def _finished(value: Any, path: KeyPath, secret: set[KeyPath], files: set[KeyPath], folder: Path) -> Any:
    if isinstance(value, str):
        if path in secret:
            return Secret(value)
        return str(folder / value) if path in files and value.strip() and value[0] not in "~:" else value
    if isinstance(value, dict):
        return {key: _finished(item, (*path, key), secret, files, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_finished(item, (*path, index), secret, files, folder) for index, item in enumerate(value)]
    return value


def _problems(error: Any, at: KeyPath) -> Iterator[Problem]:
    """A validation error in our words: jsonschema's own messages hold the value."""
    path: KeyPath = (*at, *error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    limit = error.validator_value
    if error.validator == "required":
        for key in limit:
            if key not in error.instance:
                about = schema.get("properties", {}).get(key, {})
                yield Problem(path=(*path, key), message="is missing", hint=_about(about))
    elif error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = list(schema.get("properties", {}))
        for key in error.instance:
            if key not in known and not any(re.search(pattern, key) for pattern in schema.get("patternProperties", {})):
                yield Problem(path=(*path, key), message="is not a known setting", hint=did_you_mean(key, known))
    elif isinstance(error.instance, dict) and schema.get("writeOnly"):  # {evn = "NAME"}, and not {env = "NAME"}
        yield Problem(path=path, message="should be text, or say where it is", hint=_ELSEWHERE)
    else:
        yield Problem(path=path, message=_message(error.validator, limit), hint=_about(schema))


_ELSEWHERE = '{ env = "NAME" } for a variable, { file = "PATH" } for a file'


def _about(schema: Any) -> str:
    return str(schema.get("description", "")) if isinstance(schema, Mapping) else ""


def _message(keyword: str, limit: Any) -> str:
    if keyword == "type":
        types = [limit] if isinstance(limit, str) else limit
        return f"should be {' or '.join(_TYPES.get(name, name) for name in types)}"
    if keyword == "enum":
        return f"should be one of {', '.join(json.dumps(value) for value in limit)}"
    texts = {
        "const": f"should be {json.dumps(limit, default=str)}",
        "minLength": "should not be empty" if limit == 1 else f"should have at least {limit} characters",
        "maxLength": f"should have at most {limit} characters",
        "minimum": f"should be at least {limit}",
        "maximum": f"should be at most {limit}",
        "exclusiveMinimum": f"should be more than {limit}",
        "exclusiveMaximum": f"should be less than {limit}",
        "minItems": f"should have at least {limit} items",
        "maxItems": f"should have at most {limit} items",
        "pattern": f"should match {limit}",
        "format": f"should be a valid {limit}",
        "anyOf": "fits none of the allowed forms",
        "oneOf": "fits none, or more than one, of the allowed forms",
    }
    return texts.get(keyword, f"does not satisfy {keyword} of the plugin's schema")
