/** What an application of the tests does otherwise than one that keeps the contract, in Python. */
export interface Misbehaviour {
  /** Statements that run at its start, before the models are opened. */
  start?: string;
  /** Which models it opens at its start. */
  opens?: readonly string[];
  /**
   * Statements that answer the portrait: they have `picture` (bytes) and set `status`, `kind` (a content type) and `body`.
   */
  portrait?: string;
}

const usual = `
image = Image.open(io.BytesIO(picture)).convert("RGB").resize((648, 648))
body = png(ImageOps.invert(image))
`;

/** Paths of the models in the image, as the application knows them. */
export const modelFiles = {
  shapePredictor: "/app/models/shape_predictor_68_face_landmarks.dat",
  codeformer: "/app/models/codeformer/codeformer.pth",
  u2net: "/home/appuser/.u2net/u2net_human_seg.onnx",
};

/** The module facecraft.main: an ASGI application that opens its models and answers a portrait, with nothing but Pillow. */
export function mainModule({ start = "", opens = Object.values(modelFiles), portrait = usual }: Misbehaviour = {}) {
  return `
import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image, ImageOps


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()

${start}
for model in ${JSON.stringify(opens)}:
    Path(model).read_bytes()


def answer(picture):
    status, kind = 200, "image/png"
${portrait.trim().replaceAll(/^/gm, "    ")}
    return status, kind, body


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    status, kind, body = 200, "text/plain", b"ready"
    if scope["path"] == "/api/v1/process/quick":
        form, more = b"", True
        while more:
            message = await receive()
            form, more = form + message.get("body", b""), message.get("more_body")
        status, kind, body = answer(form.partition(b"\\r\\n\\r\\n")[2])
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
    await send({"type": "http.response.body", "body": body})
`;
}
