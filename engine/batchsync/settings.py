"""How this process is set up: flags first, then `LADING_*` variables, then defaults. It reads no file itself."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where jobs.yaml and the state folder are, and whether the bundled mocks stand in for the vendors."""

    model_config = SettingsConfigDict(
        env_prefix="LADING_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    file: Path = Field(default=Path("jobs.yaml"), description="the jobs file")
    state: Path | None = Field(default=None, description="the state folder; default: .lading beside the jobs file")
    mocks: bool = Field(default=False, description="let the bundled mocks stand in for every vendor")
    mocks_at: Path | None = Field(
        default=None, description="the ready file of mocks that already run (`lading mocks serve`); says `mocks` too"
    )
    threads: int | None = Field(default=None, ge=1, le=256, description="how many threads prepare; over jobs.yaml")
    memory: Literal["small", "normal"] | None = Field(
        default=None, description="small prepares with one thread and little memory; over jobs.yaml"
    )
    hurry: bool = Field(default=True, description="with mocks: let their clock jump instead of waiting")

    @model_validator(mode="before")
    @classmethod
    def _mocks_where_they_are(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Whoever says where mocks are means them: nothing may go to a vendor by mistake."""
        return {"mocks": True} | given if given.get("mocks_at") is not None else given

    @cached_property
    def state_folder(self) -> Path:
        """Return the state folder. Runs against the mocks have one of their own: they prove nothing to a vendor.

        It stays where it is for as long as these settings do, wherever a link to the jobs file leads meanwhile.
        """
        base = self.state or self.file.resolve().parent / ".lading"
        return base / "mocks" if self.mocks else base

    def results_at(self, path: str) -> str:
        """Return where the answers for a `results: path:` go: there, but what mocks invent below their state folder.

        Args:
            path: absolute, as compiled from jobs.yaml. No two paths come to share a place.
        """
        if not self.mocks:
            return path
        folder, meant = Path(os.path.normpath(self.file.absolute())).parent, Path(path)
        if meant.is_relative_to(folder):
            return str(self.state_folder / "results" / meant.relative_to(folder))
        return str(self.state_folder / "results-elsewhere" / meant.relative_to(meant.anchor))
