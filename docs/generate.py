"""Reference sections of the pages, generated from the code; `make docs` runs it through cog."""

from __future__ import annotations

import json
from typing import Any

import click

from batchsync.core.lifecycle import TRANSITIONS
from batchsync.errors import ExitCode

_WIDTH = 100


def commands() -> str:
    """Return the help texts of all commands, 100 columns wide."""
    from batchsync.cli import main

    parts = [_help(main, ("batchsync",))]
    parts += [_help(command, ("batchsync", *path)) for path, command in _walk(main, ())]
    return "\n".join(parts)


def functions(*, ours: bool) -> str:
    """Return the functions of expressions as Markdown: those that PostgreSQL lacks, or those that it has."""
    from batchsync.data.sql.reference import markdown

    return markdown(ours=ours)


def aggregates() -> str:
    """Return the functions that combine the rows of a key as a Markdown table."""
    from batchsync.data.sql.reference import aggregate_table

    return aggregate_table()


def exit_codes() -> str:
    """Return the table of exit codes as Markdown."""
    rows = "\n".join(f"| {int(code)} | {code.meaning} |" for code in ExitCode)
    return f"| exit | meaning |\n| --- | --- |\n{rows}\n"


def vendor(name: str) -> str:
    """Return the page of a vendor as Markdown, as `batchsync vendors NAME -o md` prints it."""
    from batchsync.report.vendor import VendorReport
    from batchsync.spec import load_vendor_details

    return VendorReport(details=load_vendor_details(name)).markdown() + "\n"


def json_output() -> str:
    """Return the description of all JSON output as Markdown."""
    from batchsync.report.output_schema import output_page

    return output_page()


def log_fields() -> str:
    """Return the members of a log line of JSON as a Markdown table."""
    from batchsync.report.log_entry import FIELDS

    rows = "\n".join(f"| `{name}` | {text} |" for name, text in FIELDS.items())
    return f"| member | meaning |\n| --- | --- |\n{rows}\n"


def metrics() -> str:
    """Return all metrics as a Markdown table, from their definitions."""
    from batchsync.observers.metric_definitions import METRICS

    rows = "\n".join(
        f"| `{item.name}` | {item.kind} | {', '.join(f'`{label}`' for label in item.labels)} | {item.meaning} |"
        for item in METRICS
    )
    return f"| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n{rows}\n"


def lifecycle() -> str:
    """Return the transitions of a batch as a Markdown table, from the transition table of the engine.

    A table and no diagram: the site loads no script that would draw it.
    """
    rows = []
    for phase, events in TRANSITIONS.items():
        for event, transition in events.items():
            if transition.to is not None and transition.to is not phase:
                meaning = " ".join(str(event.__doc__).split()).split(". ")[0].removesuffix(".") + "."
                rows.append(f"| `{phase}` | `{event.__name__}` | {meaning} | `{transition.to}` |")
    return "\n".join(["| phase | event | meaning | next phase |", "| --- | --- | --- | --- |", *rows, ""])


def settings() -> str:
    """Return the `BATCHSYNC_*` variables as a Markdown table, from the settings."""
    from batchsync.settings import Settings

    prefix = str(Settings.model_config["env_prefix"])
    rows = [f"| `{prefix}{name.upper()}` | {field.description} |" for name, field in sorted(Settings.model_fields.items())]
    return "\n".join(["| variable | meaning |", "| --- | --- |", *rows, ""])


def job_keys() -> str:
    """Return the keys of jobs.yaml with descriptions as Markdown tables, from its JSON Schema."""
    from batchsync.spec import jobs_schema

    schema = jobs_schema()
    definitions: dict[str, Any] = schema.get("$defs", {})
    # A block of defaults or of an environment has the keys of a job; names with a dot are those of the rules of vendors,
    # which the pages of the vendors have.
    order: list[str] = []
    places: dict[str, list[str]] = {}
    _visit("jobs.yaml", schema, definitions, order, places)
    parts = [_keys("The file", "", schema, definitions)]
    for name in order:
        where = ", ".join(dict.fromkeys(places[name]))
        parts.append(_keys(str(definitions[name]["title"]), where, definitions[name], definitions))
    return "\n".join(parts)


def _visit(
    owner: str, model: dict[str, Any], definitions: dict[str, Any], order: list[str], places: dict[str, list[str]]
) -> None:
    """Collect the models that a model refers to, in the order of their keys, with the keys that refer to them."""
    for key, item in model.get("properties", {}).items():
        if owner == "jobs.yaml" and key in {"defaults", "environments"}:
            continue
        for name in _references(item):
            whole = name.replace("Partial", "", 1)
            if not definitions.get(whole, {}).get("properties"):
                continue
            places.setdefault(whole, []).append(f"`{key}` of {owner}")
            if whole not in order:
                order.append(whole)
                title = definitions[whole]["title"]
                _visit(f"[{title}](#{_slug(title)})", definitions[whole], definitions, order, places)


def _references(item: object) -> list[str]:
    """Return the names of the definitions that a part of a schema refers to."""
    if isinstance(item, list):
        return [name for part in item for name in _references(part)]
    if not isinstance(item, dict):
        return []
    own = [str(item["$ref"]).rsplit("/", 1)[-1]] if "$ref" in item else []
    return own + [name for key, part in item.items() if key not in {"examples", "default"} for name in _references(part)]


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def _keys(title: str, where: str, schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = []
    for name, item in schema.get("properties", {}).items():
        text = str(item.get("description") or _referenced(item, definitions)).replace("|", "\\|").replace("\n", " ")
        example = _yaml(item["examples"][0]) if item.get("examples") else ""
        default = item.get("default")
        need = "required" if name in required else "" if default in (None, "", [], {}) else f"`{_yaml(default)}`"
        rows.append(f"| `{name}` | {text} | {f'`{example}`' if example else ''} | {need} |")
    about = [f"{schema['description']} Used in: {where}.", ""] if where else []
    return "\n".join(
        [f"## {title}", "", *about, "| key | meaning | example | default |", "| --- | --- | --- | --- |", *rows, ""]
    )


def _yaml(value: object) -> str:
    """Return an example in one line, as people write it in jobs.yaml."""
    from io import StringIO

    from ruamel.yaml import YAML

    if isinstance(value, str):
        return value.replace("|", "\\|")
    yaml, stream = YAML(), StringIO()
    yaml.default_flow_style, yaml.width = True, 10_000
    yaml.dump(value, stream)
    return stream.getvalue().removesuffix("...\n").strip().replace("|", "\\|")


def _referenced(item: dict[str, Any], definitions: dict[str, Any]) -> str:
    name = str(item.get("$ref", "")).rsplit("/", 1)[-1]
    return str(definitions.get(name, {}).get("description", ""))


def _walk(group: click.Group, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += _walk(command, (*path, name))
    return found


def _help(command: click.Command, path: tuple[str, ...]) -> str:
    context = click.Context(
        command, info_name=" ".join(path), terminal_width=_WIDTH, max_content_width=_WIDTH, color=False
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"## `{' '.join(path)}`\n\n```text\n{text}\n```\n"


def errors() -> str:
    """Return the explanations of all error codes as Markdown, from their registry."""
    from batchsync.report.error_codes import errors_page

    return errors_page()


#: Headings of docs/vendor-specs.md, with the models of each.
VENDOR_BLOCKS = {
    "The file": ("VendorModel",),
    "connection": ("ConnectionModel", "AuthModel", "LimitsModel"),
    "target and modes": ("TargetModel", "ModesModel"),
    "file": ("FileModel",),
    "policy": ("PolicyModel",),
    "row_log": ("RowLogModel", "ErrorLayoutModel", "TableFormModel"),
    "describe": ("DescribeModel", "ChoiceModel"),
    "calls": ("BatchCallModel", "ResponseModel", "ListItemModel", "PartModel"),
    "results, errors, unprocessed": ("DownloadModel", "PagesModel", "ResultsModel", "ErrorsModel"),
    "settings": ("SettingModel", "SettingValueModel"),
}


def vendor_spec() -> str:
    """Return the keys of vendor.yaml as Markdown tables, from its JSON Schema."""
    from batchsync.spec.vendor_spec import vendor_schema

    schema = vendor_schema()
    models = {"VendorModel": schema, **schema["$defs"]}
    parts = []
    for heading, names in VENDOR_BLOCKS.items():
        title = heading if heading == "The file" else ", ".join(f"`{word}`" for word in heading.split(", "))
        parts += [f"### {title}", "", *(_vendor_keys(name, models) for name in names)]
    return "\n".join(parts)


def _vendor_keys(name: str, models: dict[str, dict[str, Any]]) -> str:
    """Return the keys of a model as a Markdown table, with the places of the model above it."""
    rows = []
    model = models[name]
    inherited = {"source"} if name != "VendorModel" else set()
    inherited |= {*models["DownloadModel"]["properties"]} if name == "ResultsModel" else set()
    for key, item in model["properties"].items():
        if key in inherited:
            continue
        default = item.get("default")
        need = "required" if key in model.get("required", ()) else "" if default in (None, "") else f"`{json.dumps(default)}`"
        text = str(item.get("description", "")).replace("|", "\\|")
        rows.append(f"| `{key}` | {text} | {need} |")
    label = VENDOR_PLACES[name]
    return "\n".join([f"{label}:", "", "| key | meaning | default |", "| --- | --- | --- |", *rows, ""])


#: Where the mapping of a model stands.
VENDOR_PLACES = {
    "VendorModel": "`vendor.yaml`",
    "ConnectionModel": "`connection`",
    "AuthModel": "`connection.auth`",
    "AssertionModel": "`connection.auth.assertion`",
    "SignatureModel": "`connection.auth.signature`",
    "LimitsModel": "`connection.limits`",
    "TargetModel": "`target`",
    "ModesModel": "`modes`",
    "FileModel": "`file`",
    "PolicyModel": "`policy`",
    "RowLogModel": "`row_log`",
    "ErrorLayoutModel": "`row_log.errors`",
    "TableFormModel": "`row_log.tables`",
    "DescribeModel": "`describe`",
    "ChoiceModel": "`describe.choice`",
    "BatchCallModel": "An item of `calls`; every other call has the same keys without `call`",
    "ResponseModel": "An item of `responses` of a call",
    "ListItemModel": "`item` of a call",
    "PartModel": "An item of `parts` of a call",
    "DownloadModel": "`results`, `unprocessed` and an item of `errors.downloads`",
    "PagesModel": "`pages` of a download",
    "ResultsModel": "`results`, beside",
    "ErrorsModel": "`errors`",
    "SettingModel": "An item of `settings`",
    "SettingValueModel": "An item of `values` of a setting",
}
