"""What readers of Parquet files look for in the file's key-value metadata, so that units reach each of them."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalogs.schema import Column

__all__ = ["file_metadata"]

# VOTable has no unsigned 32-bit integer; the next wider type holds it.
_VOTABLE_TYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "long",
    "int32": "int",
    "uint32": "long",
    "bool": "boolean",
    "string": "unicodeChar",
}


def file_metadata(name: str, columns: Iterable["Column"], lengths: Mapping[str, int]) -> dict[bytes, bytes]:
    """Keys for astropy (``table_meta_yaml``), VOParquet (``IVOA.VOTable-Parquet.*``) and pandas (``PANDAS_ATTRS``).

    `lengths` tells the longest text of string columns: astropy sizes its fixed-width text by it.
    """
    columns = list(columns)
    return {
        b"table_meta_yaml": _ecsv_header(columns).encode(),
        b"IVOA.VOTable-Parquet.version": b"1.0",
        b"IVOA.VOTable-Parquet.content": _votable(name, columns, lengths),
        b"PANDAS_ATTRS": json.dumps({"units": {column.name: column.unit for column in columns}}).encode(),
        **{f"table::len::{column}".encode(): str(length).encode() for column, length in lengths.items()},
    }


def _ecsv_header(columns: list["Column"]) -> str:
    """The column list of an ECSV header, in the part of YAML that is also JSON."""
    entries = []
    for column in columns:
        entry = {"name": column.name, "unit": column.unit, "datatype": column.dtype, "description": column.description}
        entries.append(json.dumps({key: value for key, value in entry.items() if value}))
    return "datatype:\n" + "".join(f"- {entry}\n" for entry in entries)


def _votable(name: str, columns: list["Column"], lengths: Mapping[str, int]) -> bytes:
    """A VOTable that describes the columns and says that the data are the Parquet file around it."""
    root = ET.Element("VOTABLE", version="1.5", xmlns="http://www.ivoa.net/xml/VOTable/v1.3")
    table = ET.SubElement(ET.SubElement(root, "RESOURCE", type="results"), "TABLE", name=name)
    for column in columns:
        attributes = {"name": column.name, "datatype": _VOTABLE_TYPES[column.dtype]}
        if column.dtype == "string":
            attributes["arraysize"] = f"{lengths.get(column.name, '')}*"
        attributes |= {key: text for key in ("unit", "ucd") if (text := getattr(column, key))}
        field = ET.SubElement(table, "FIELD", attributes)
        ET.SubElement(field, "DESCRIPTION").text = column.description
    ET.SubElement(table, "PARQUET", type="Parquet-local-XML")
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)
