"""An external processor of Envoy: names the model of each chat completion in a header, and rewrites it in the body.

Run: ``python -m modelpick.gateway.extproc gateway.toml --port 9002``. Envoy asks it, routes by the header
``x-modelpick-model``, and itself fails over, keeps keys and counts; see docs/gateway.md.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

from modelpick.runtime import FeatureError, ModelpickError

from . import bodies
from .config import COMPLETIONS, Config, read
from .errors import RefusedError, answer, unknown_model
from .picks import told_headers
from .preferences import is_auto, preference_of
from .state import State, held

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
OVERWRITE = 2  # OVERWRITE_IF_EXISTS_OR_ADD
_PACKAGE = "modelpick.extproc"
# The fields of Envoy's messages that are read and written: message -> field -> (number, kind). A kind is a message or a
# scalar, with * where there are several. Other fields are skipped.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "HeaderValue": {"key": (1, "string"), "value": (2, "string"), "raw_value": (3, "bytes")},
    "HeaderMap": {"headers": (1, "*HeaderValue")},
    "HttpHeaders": {"headers": (1, "HeaderMap"), "end_of_stream": (3, "bool")},
    "HttpBody": {"body": (1, "bytes"), "end_of_stream": (2, "bool")},
    "ProcessingRequest": {"request_headers": (2, "HttpHeaders"), "request_body": (4, "HttpBody")},
    "HeaderValueOption": {"header": (1, "HeaderValue"), "append_action": (3, "int32")},
    "HeaderMutation": {"set_headers": (1, "*HeaderValueOption")},
    "BodyMutation": {"body": (1, "bytes")},
    "CommonResponse": {
        "header_mutation": (2, "HeaderMutation"),
        "body_mutation": (3, "BodyMutation"),
        "clear_route_cache": (5, "bool"),
    },
    "Response": {"response": (1, "CommonResponse")},
    "HttpStatus": {"code": (1, "int32")},
    "ImmediateResponse": {"status": (1, "HttpStatus"), "headers": (2, "HeaderMutation"), "body": (3, "bytes")},
    "ProcessingResponse": {
        "request_headers": (1, "Response"),
        "request_body": (3, "Response"),
        "immediate_response": (7, "ImmediateResponse"),
    },
}


def _classes() -> dict[str, Any]:
    """Return the classes of the messages, as Envoy's own definitions would make them of these fields."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="modelpick_extproc.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for key, (number, kind) in fields.items():
            label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
            made = message.field.add(name=key, number=number, label=label)
            if kind.lstrip("*") in _MESSAGES:
                made.type, made.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind.lstrip('*')}"
            else:
                made.type = field.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


MESSAGES = _classes()


class Processor:
    """Answers Envoy's streams, one for each request."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def process(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Answer the messages of a stream: keep the headers, and pick a model for the body, which must be buffered."""
        headers: dict[str, str] = {}
        async for request in requests:
            if request.HasField("request_headers"):
                sent = request.request_headers.headers.headers
                headers = {one.key: (one.raw_value or one.value.encode()).decode("latin-1") for one in sent}
                yield MESSAGES["ProcessingResponse"](request_headers={})
            elif request.HasField("request_body"):
                if headers.get(":path", "").partition("?")[0].endswith(COMPLETIONS):
                    yield await self._state.in_thread(self._answered, request.request_body.body, headers)
                else:
                    yield MESSAGES["ProcessingResponse"](request_body={})

    def _answered(self, raw: bytes, headers: Mapping[str, str]) -> Any:
        try:
            return self._picked(raw, headers)
        except RefusedError as error:
            return _refusal(error)
        except FeatureError as error:
            return _refusal(RefusedError(400, str(error), param="messages"))

    def _picked(self, raw: bytes, headers: Mapping[str, str]) -> Any:
        state, body = self._state, bodies.chat(raw)
        backend = state.backends.get(body["model"])
        if backend is not None:
            told = told_headers({"model": backend.name})
        elif state.picker is not None and is_auto(body["model"]):
            prefer = preference_of(body["model"], headers, state.config.prefer)
            pick = state.pick(body, prefer, headers.get(state.config.conversations.header), "")
            backend = pick.backends[0]
            told = pick.headers(backend)
        else:
            raise unknown_model(body["model"])
        new = bodies.Bodies(raw, body, False, set()).of(backend).body
        if "content-length" in headers:  # Envoy refuses a body of another length
            told = [*told, (b"content-length", str(len(new)).encode())]
        changed = {
            "header_mutation": {"set_headers": [_header(name, value) for name, value in told]},
            "body_mutation": {"body": new},
            "clear_route_cache": True,
        }
        return MESSAGES["ProcessingResponse"](request_body={"response": changed})


def _header(name: bytes, value: bytes) -> dict[str, Any]:
    return {"header": {"key": name.decode(), "raw_value": value}, "append_action": OVERWRITE}


def _refusal(error: RefusedError) -> Any:
    said = answer(error.status, str(error), error.param, error.code)
    headers = {"set_headers": [_header(b"content-type", b"application/json")]}
    refusal = {"status": {"code": error.status}, "headers": headers, "body": bytes(said.body)}
    return MESSAGES["ProcessingResponse"](immediate_response=refusal)


async def serve(config: Config, address: str) -> None:
    """Answer Envoy at an address, such as ``127.0.0.1:9002``, until cancelled.

    Raises
    ------
    ModelpickError
        When a file that the configuration names cannot be loaded or used.
    """
    handler = grpc.stream_stream_rpc_method_handler(
        None,
        request_deserializer=MESSAGES["ProcessingRequest"].FromString,
        response_serializer=MESSAGES["ProcessingResponse"].SerializeToString,
    )
    most = [("grpc.max_receive_message_length", config.limits.body_bytes + 65_536)]
    with held(config) as state:
        server = grpc.aio.server(options=most)
        behavior = handler._replace(stream_stream=Processor(state).process)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Process": behavior})])
        server.add_insecure_port(address)
        await server.start()
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(grace=1)


def main() -> None:
    """Run the processor: exit 2 for bad input, with one line."""
    parser = argparse.ArgumentParser(prog="python -m modelpick.gateway.extproc", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9002)
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(read(arguments.file), f"{arguments.host}:{arguments.port}"))
    except ModelpickError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
