"""JSON Schema of the files that people write, for editors that complete and check them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from mpcstats.study.analyses import ANALYSES

__all__ = ["SCHEMA_BASE", "schema_of", "schema_text"]

SCHEMA_BASE = "https://mpcstats.example/schemas/v1/"


def schema_of(kind: str, model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a kind of file.

    Parameters
    ----------
    kind : str
        "study", "policy" and so on.
    model : class
        Its model.
    """
    schema = model.model_json_schema()
    if kind == "study":
        # [dataset] and [where] may stand in [data]
        requests = [analysis.spec.model_json_schema() for analysis in ANALYSES.values()]
        schema["properties"]["analysis"] = {
            "description": "The analysis and its fields.",
            "oneOf": [{**request, "required": ["type", *request.get("required", [])]} for request in requests],
        }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{SCHEMA_BASE}{kind}.schema.json"}
    return {**head, **schema}


def schema_text(kind: str, model: type[BaseModel]) -> str:
    """As the text of a file."""
    return json.dumps(schema_of(kind, model), indent=2, ensure_ascii=False) + "\n"
