"""
The baseline of ingest: a FastAPI endpoint that validates with fhir.resources and appends to a stream. Nothing else.

    python -m tests.benchmarks.bare REDIS_URL

Prints `{"url": ...}`. Server, loop and parser are those of `hub api`.
"""

import socket
import sys
from typing import Any
from uuid import uuid4

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fhir.resources.R4B import get_fhir_model_class
from redis.asyncio import Redis

STREAM = "bare"


def create_app(redis: Redis) -> FastAPI:
    app = FastAPI()

    @app.post("/{type_}")
    async def create(type_: str, request: Request) -> Response:
        body = await request.body()
        resource: dict[str, Any] = orjson.loads(body)
        get_fhir_model_class(type_).model_validate(resource)
        await redis.xadd(STREAM, {"body": body})
        return Response(body, 201, {"Location": f"/{type_}/{uuid4()}"}, "application/fhir+json")

    return app


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            create_app(Redis.from_url(sys.argv[1])),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
        )
        print(orjson.dumps({"url": "http://{}:{}".format(*listening.getsockname())}).decode(), flush=True)
        uvicorn.Server(config).run(sockets=[listening])
