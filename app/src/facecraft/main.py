"""The ASGI application."""

from contextlib import asynccontextmanager
from typing import Annotated

import torch
from fastapi import FastAPI, Form, HTTPException, Response, UploadFile, status

from facecraft import page, settings
from facecraft.models import Models
from facecraft.portrait import LARGEST_BYTES, LARGEST_PIXELS, TooLarge, check_bytes, portrait

models = Models.configured()


@asynccontextmanager
async def lifespan(_: FastAPI):
    models.load_in_background()
    yield


app = FastAPI(title="Facecraft", lifespan=lifespan)
app.include_router(page.router)


@app.get("/health")
def health() -> dict:
    """The process is up, whatever the models do."""
    return {"status": "up", "device": settings.device(), "torch": torch.__version__, "cuda": torch.version.cuda}


@app.get("/ready")
def ready(response: Response) -> dict:
    """200 only when every model was loaded."""
    if not models.ready():
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return {"status": "ready" if models.ready() else "not ready", "models": models.states()}


@app.get("/api/v1/about")
def about() -> dict:
    """What the page at / shows: the models with their pins, and how large a picture may be."""
    return {
        "device": settings.device(),
        "models": [model.describe() for model in models.by_name().values()],
        "largestBytes": LARGEST_BYTES,
        "largestPixels": LARGEST_PIXELS,
    }


@app.post("/api/v1/process/quick")
def process_quick(file: UploadFile, size: Annotated[int, Form(ge=16, le=4096)] = 648) -> Response:
    """The person of a picture on white, as a PNG of size x size pixels."""
    session = models.segmentation.session
    if session is None:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, models.segmentation.state())
    try:
        check_bytes(file.size or 0)
        return Response(portrait(file.file.read(), size, session), media_type="image/png")
    except TooLarge as error:
        raise HTTPException(413, str(error)) from error
    except ValueError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from error
