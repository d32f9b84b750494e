"""The page at /, where a portrait can be tried: static files, and nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

FOLDER = Path(__file__).parent / "static"
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
HEADERS = {
    # A picture that was chosen is shown from the browser's own memory (blob:); everything else comes from here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The next release has another page, at the same address.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
def page() -> Response:
    return static("index.html")


@router.get("/static/{name}")
def static(name: str) -> Response:
    if name not in TYPES:
        raise HTTPException(404)
    return Response((FOLDER / name).read_bytes(), media_type=TYPES[name], headers=HEADERS)
