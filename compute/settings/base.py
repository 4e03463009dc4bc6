"""What all settings have in common."""

import hashlib
import json

from pydantic import BaseModel, ConfigDict, ValidationError


class Settings(BaseModel):
    """Base of all settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def digest(self, *more: str) -> str:
        """Sixteen hex digits that change when any setting, or any of the strings `more`, changes."""
        text = json.dumps([self.model_dump(mode="json"), *more], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def faults(error: ValidationError) -> list[str]:
    """One line per fault of a settings model: where, what was found, what was expected."""
    lines, places = [], [fault["loc"] for fault in error.errors()]
    for fault in error.errors():
        # A list whose only items are faulty also counts as too short; the items' own faults say enough.
        inner = any(len(place) > len(fault["loc"]) and place[: len(fault["loc"])] == fault["loc"] for place in places)
        if fault["type"] == "too_short" and inner:
            continue
        place = ".".join(str(part) for part in fault["loc"]) or "settings"
        found = "" if fault["type"] in ("missing", "value_error") else f" (found {fault['input']!r})"
        lines.append(f"{place}: {fault['msg']}{found}")
    return lines
