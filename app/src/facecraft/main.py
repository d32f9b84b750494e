"""The ASGI application."""

from contextlib import asynccontextmanager
from typing import Annotated

import torch
from fastapi import FastAPI, Form, HTTPException, Response, UploadFile, status

from facecraft import settings
from facecraft.models import Models
from facecraft.portrait import portrait

models = Models.configured()


@asynccontextmanager
async def lifespan(_: FastAPI):
    models.load_in_background()
    yield


app = FastAPI(title="Facecraft", lifespan=lifespan)


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


@app.post("/api/v1/process/quick")
def process_quick(file: UploadFile, size: Annotated[int, Form(ge=16, le=4096)] = 648) -> Response:
    """The person of a picture on white, as a PNG of size x size pixels."""
    session = models.segmentation.session
    if session is None:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, models.segmentation.state())
    try:
        return Response(portrait(file.file.read(), size, session), media_type="image/png")
    except ValueError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from error
