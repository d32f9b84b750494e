"""The ASGI application."""

from contextlib import asynccontextmanager
from typing import Annotated

import torch
from fastapi import FastAPI, HTTPException, Query, Response, UploadFile, status

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
    """200 only when every model was opened and read to its end."""
    if not models.ready():
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return {"status": "ready" if models.ready() else "not ready", "models": models.states()}


@app.post("/portrait")
def make_portrait(picture: UploadFile, height: Annotated[int, Query(ge=16, le=4096)] = 900) -> Response:
    try:
        return Response(portrait(picture.file.read(), height), media_type="image/jpeg")
    except ValueError as error:
        raise HTTPException(status.HTTP_422_UNPROCESSABLE_CONTENT, str(error)) from error
