"""Files as answers: whole or in parts, or that they have not changed."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import FileResponse


def answer_file(request: Request, path: Path, *, media_type: str, cache: str, disposition: str = "") -> Response:
    """A file, as far as the request asks for it (RFC 9110, 13 and 14).

    Args:
        request: what is asked.
        path: an existing regular file.
        media_type: its type.
        cache: how long it may be kept, as Cache-Control has it.
        disposition: what a browser does with it, as Content-Disposition has it; empty for nothing.
    """
    status = path.stat()
    tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    changed = datetime.fromtimestamp(int(status.st_mtime), UTC)
    headers = {"etag": tag, "last-modified": format_datetime(changed, usegmt=True), "cache-control": cache}
    if _has_it(request, tag, changed):
        return Response(status_code=304, headers=headers)
    if disposition:
        headers["content-disposition"] = disposition
    return FileResponse(path, headers=headers, media_type=media_type, stat_result=status)


def _has_it(request: Request, tag: str, changed: datetime) -> bool:
    """Whether the client has the file as it is."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in tags.split(",")}
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        told = parsedate_to_datetime(since)
    except ValueError:
        return False
    return changed <= (told if told.tzinfo else told.replace(tzinfo=UTC))
