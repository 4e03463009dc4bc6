"""Tables declared once: from a declaration come file schema, empty frame, validator and documentation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa

from catalogs.errors import PiazziError
from catalogs.headers import file_metadata

__all__ = ["Column", "Table", "TableError"]


class TableError(PiazziError):
    """Rows that do not fit the table they are meant for."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name, unit, ucd, description
        `unit` in the common astronomical notation, empty without one; `ucd` from the IVOA's list, version 1+.
    dtype
        ``float64``, ``float32``, ``int64``, ``int32``, ``uint32``, ``bool`` or ``string``.
    low, high
        Inclusive range, None where open. Missing values are in every range.
    nullable
        Rows may lack the value: null in files; NaN, or NA for integers, in frames.
    nan
        NaN is a value (a fit that gave none) and stays NaN in files.
    """

    name: str
    dtype: str
    unit: str
    ucd: str
    description: str
    low: float | None = None
    high: float | None = None
    nullable: bool = False
    nan: bool = False

    @property
    def pandas_dtype(self) -> str:
        """Name of the pandas dtype: NumPy's unless integers or truth values may be missing."""
        if self.dtype == "string":
            return "str"
        if self.nullable and self.dtype == "bool":
            return "boolean"
        return self.dtype.replace("int", "Int").replace("uI", "UI") if self.nullable else self.dtype

    @property
    def arrow_type(self) -> pa.DataType:
        """Type in Arrow and Parquet."""
        return pa.type_for_alias(self.dtype)

    @property
    def range(self) -> str:
        """Range as text: ``0 to 1``, ``at least 0``, or empty."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"at least {self.low:g}"
        return "" if self.high is None else f"at most {self.high:g}"

    def missing(self) -> object:
        """What stands in a frame for an absent value."""
        return pd.NA if self.pandas_dtype[0] in "IUb" else np.nan

    def first_fault(self, values: pd.Series) -> tuple[int, str] | None:
        """Row and expectation of the first value that may not be; None when all may."""
        absent = values.isna().to_numpy()
        if not (self.nullable or self.nan) and absent.any():
            return int(absent.argmax()), "a value"
        wrong = np.zeros(len(values), bool)
        if self.low is not None:
            wrong |= (values < self.low).to_numpy(bool, na_value=False)
        if self.high is not None:
            wrong |= (values > self.high).to_numpy(bool, na_value=False)
        return (int(wrong.argmax()), self.range) if wrong.any() else None


@dataclass(frozen=True)
class Table:
    """A table: `columns` in file order, and `keys` that stand in the path (``filter=F090W``) and never in a file."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[Column, ...] = ()

    @property
    def names(self) -> list[str]:
        """Column names in file order, without the path keys."""
        return [column.name for column in self.columns]

    @property
    def units(self) -> dict[str, str]:
        """Unit of every column, empty text where there is none; frames carry this as ``attrs["units"]``."""
        return {column.name: column.unit for column in self.columns}

    def arrow_schema(self, lengths: Mapping[str, int] | None = None) -> pa.Schema:
        """Schema of the table's files, with units, UCDs and descriptions where each kind of reader looks for them.

        `lengths` is the longest text of each string column, for the schema of one file.
        """
        fields = [
            pa.field(
                column.name,
                column.arrow_type,
                nullable=column.nullable,
                metadata={"unit": column.unit, "ucd": column.ucd, "description": column.description},
            )
            for column in self.columns
        ]
        return pa.schema(
            fields, metadata=_pandas_metadata(self) | file_metadata(self.name, self.columns, lengths or {})
        )

    def empty(self, keys: bool = False) -> pd.DataFrame:
        """Frame without rows; `keys` adds the path keys at the end. Serves as Dask's meta."""
        columns = self.columns + self.keys if keys else self.columns
        frame = pd.DataFrame({column.name: pd.Series(dtype=column.pandas_dtype) for column in columns})
        frame.attrs["units"] = self.units
        return frame

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The table's columns in order and dtype, units attached; absent nullable columns are filled with nulls.

        Other columns of `frame` are left out. Raises TableError where a column is absent or cannot be converted.
        """
        series = {}
        for column in self.columns:
            if column.name in frame:
                values = frame[column.name]
            elif column.nullable:
                values = pd.Series(column.missing(), index=frame.index, dtype=column.pandas_dtype)
            else:
                raise TableError(f"{self.name} column {column.name} is absent")
            try:
                series[column.name] = values.astype(column.pandas_dtype)
            except (TypeError, ValueError) as error:
                wanted = f"{self.name} wants {column.pandas_dtype}"
                raise TableError(f"column {column.name} is {values.dtype}, {wanted}: {error}") from None
        conformed = pd.DataFrame(series).reset_index(drop=True)
        conformed.attrs["units"] = self.units
        return conformed

    def check(self, frame: pd.DataFrame, stage: str) -> None:
        """Raise TableError naming `stage`, column, and what was found and wanted, at the first column that is wrong."""
        self._check_names(list(frame.columns), stage)
        for column in self.columns:
            values, place = frame[column.name], f"{stage}: column {column.name}"
            if values.dtype != column.pandas_dtype:
                raise TableError(f"{place} is {values.dtype}, {self.name} wants {column.pandas_dtype}")
            if fault := column.first_fault(values):
                row, wanted = fault
                raise TableError(f"{place} row {row} is {values.iloc[row]}, {self.name} wants {wanted}")

    def _check_names(self, found: Iterable[str], stage: str) -> None:
        found = list(found)
        for name in self.names:
            if name not in found:
                raise TableError(f"{stage}: column {name} is absent, {self.name} wants it")
        for name in found:
            if name not in self.names:
                raise TableError(f"{stage}: column {name} is there, {self.name} has none of that name")
        if found != self.names:
            odd = next(pair for pair in zip(found, self.names, strict=True) if pair[0] != pair[1])
            raise TableError(f"{stage}: column {odd[0]} stands where {self.name} wants {odd[1]}")

    def markdown(self) -> str:
        """Documentation: a row per column."""
        lines = [f"## {self.name}", ""]
        if self.keys:
            keys = ", ".join(f"`{key.name}` ({key.dtype})" for key in self.keys)
            lines += [f"Path keys, added as columns on reading and never inside a file: {keys}.", ""]
        lines += ["| column | type | unit | UCD | range | missing | meaning |", "|---|---|---|---|---|---|---|"]
        for c in self.columns:
            missing = "null" if c.nullable else "NaN" if c.nan else ""
            ucd, meaning = f"`{c.ucd}`" if c.ucd else "", c.description.replace("|", "\\|")
            lines.append(f"| `{c.name}` | {c.dtype} | {c.unit} | {ucd} | {c.range} | {missing} | {meaning} |")
        return "\n".join(lines) + "\n"


@lru_cache(maxsize=64)
def _pandas_metadata(table: Table) -> dict[bytes, bytes]:
    """What pandas wants to find in a table's files; kept, as it takes half the time of writing a small one."""
    return dict(pa.Schema.from_pandas(table.empty(), preserve_index=False).metadata)
