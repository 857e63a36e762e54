"""Objects of the JSON output of `batchsync vendors`; `output_members` says how types are written."""

from __future__ import annotations

VENDOR_OBJECTS: dict[str, dict[str, tuple[str, str]]] = {
    "vendor": {
        "name": ("text", "Name of the vendor."),
        "title": ("text", "What it is called."),
        "schemas": ("[text]", "Record schemas."),
        "modes": ("[text]", "Modes."),
    },
    "fact": {
        "fact": ("text", "Id of the fact."),
        "says": ("text", "The behaviour."),
        "source": ("text", "Document that states it, or assumed."),
        "certainty": ("text", "documented, secondary, observed, inferred or assumed."),
        "verdict": ("text", "confirmed, refuted or not seen."),
        "answers": ("int", "Answers that the verdict rests on."),
        "differences": ("[text]", "How an answer contradicts it: members and forms, no values."),
    },
    "played_exchange": {
        "name": ("text", "Name of its file."),
        "call": ("text", "Call in vendor.yaml."),
        "client": ("bool", "Whether the client sends and understands it as documented."),
        "mock": ("bool?", "Whether the mock answers as documented; null if it was not asked."),
    },
    "deviation": {
        "exchange": ("text", "Name of the exchange."),
        "by": ("text", "client or mock."),
        "file": ("text", "File of the exchange."),
        "line": ("int", "Line, from 1."),
        "column": ("int", "Column, from 1."),
        "at": ("text", "Member that differs."),
        "message": ("text", "What the client or the mock does instead."),
    },
    "assumption": {
        "file": ("text", "File that states it."),
        "line": ("int", "Line, from 1."),
        "column": ("int", "Column, from 1."),
        "at": ("text", "What it is about: a block, a call, a member or a fact."),
        "text": ("text", "The source, or the fact."),
    },
    "unstated": {
        "at": ("text", "Where vendor.yaml would say it."),
        "missing": ("text", "What is not stated."),
        "effect": ("text", "What follows."),
    },
    "option": {
        "id": ("text", "Id at the vendor."),
        "name": ("text?", "Name at the vendor."),
        "description": ("text?", "Description by the vendor."),
    },
    "vendor_schema": {
        "name": ("text", "Name of the record schema."),
        "modes": ("[text]", "Modes in which the record may be sent."),
        "notes": ("[text]", "Rules of several members."),
        "members": ("[vendor_member]", "Members, by path."),
        "source": ("text", "Document that states them."),
    },
    "vendor_setting": {
        "name": ("text", "Key of a connection."),
        "title": ("text", "What it chooses."),
        "default": ("text?", "Value of a connection without the key; null if it may be left open."),
        "takes": ("text", "What a value is: value (one of those listed), member_sets or attributes."),
        "meaning": ("text", "What it does; empty if values are listed."),
        "values": ("{text}", "Allowed values, and what each means."),
        "source": ("text", "Document that states the choice."),
    },
    "vendor_member": {
        "member": ("text", "Path; [] stands for the items of a list."),
        "kind": ("text", "JSON type, or scalar."),
        "format": ("text?", "Named format."),
        "required_in": ("[text]", "Modes in which it is required; * is every mode."),
        "values": ("[text]", "Listed values."),
        "rule": ("text", "All rules in words."),
        "source": ("text", "Document that states them; may be empty."),
    },
}
