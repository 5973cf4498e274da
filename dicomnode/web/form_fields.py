"""The fields of a form that a browser posts, for routes that work in a thread of their own."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request


async def _read(request: Request) -> Mapping[str, str]:
    """Read the texts of a form; of a field that comes twice, the last one, and no files."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


FormFields = Annotated[Mapping[str, str], Depends(_read)]
"""Names and texts, as a parameter of a route."""
