"""Units and UCDs of columns, wherever a file keeps them."""

import json
from dataclasses import dataclass
from xml.etree import ElementTree

import pyarrow as pa
from astropy import units
from astropy.table.meta import get_header_from_yaml

from catalogs.errors import UnusableError

__all__ = ["Field", "factor", "fields_of"]


@dataclass(frozen=True)
class Field:
    """What a file tells of a column; texts are empty where it tells nothing."""

    unit: str = ""
    ucd: str = ""


def fields_of(schema: pa.Schema) -> dict[str, Field]:
    """Columns of an Arrow schema: by its fields' metadata, else VOParquet's, astropy's or pandas' keys."""
    metadata = schema.metadata or {}
    units_: dict[str, str] = {}
    ucds: dict[str, str] = {}
    if text := metadata.get(b"PANDAS_ATTRS"):
        attributes = json.loads(text)
        units_ |= attributes.get("units") or {}
    if text := metadata.get(b"table_meta_yaml"):
        header = get_header_from_yaml(text.decode().split("\n"))
        for column in header["datatype"]:
            units_[column["name"]] = str(column.get("unit", ""))
            ucds[column["name"]] = str(column.get("meta", {}).get("ucd", ""))
    if text := metadata.get(b"IVOA.VOTable-Parquet.content"):
        for element in ElementTree.fromstring(text).iter():
            if element.tag.rpartition("}")[2] == "FIELD":
                units_[element.get("name", "")] = element.get("unit", "")
                ucds[element.get("name", "")] = element.get("ucd", "")
    fields = {}
    for field in schema:
        told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        unit, ucd = told.get("unit") or units_.get(field.name, ""), told.get("ucd") or ucds.get(field.name, "")
        fields[field.name] = Field(unit, ucd)
    return fields


def factor(place: str, unit: str, wanted: str) -> float:
    """What values in `unit` are multiplied by to be in `wanted`; 1 where either is empty.

    UnusableError where they do not convert. Epochs are years and nothing else: a count of days has another origin.
    """
    if not (unit and wanted):
        return 1.0
    try:
        found = units.Unit(unit)
        found = getattr(found, "function_unit", found)  # mag(AB) and the like
        scale = float(found.to(wanted))
    except (ValueError, TypeError):
        raise UnusableError(place, f"unit {unit!r}", f"one that converts to {wanted}") from None
    if wanted == "yr" and scale != 1:
        raise UnusableError(place, f"unit {unit!r}", "Julian years")
    return scale
