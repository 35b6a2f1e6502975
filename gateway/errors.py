"""Errors that clients see, in the shape of OpenAI's."""

from fastapi.responses import JSONResponse
from pydantic import ValidationError


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


def unknown_model(name: str) -> RefusedError:
    """Return the refusal of a model that no backend serves."""
    return RefusedError(404, f"The model {name!r} does not exist.", param="model", code="model_not_found")


def invalid(status: int, error: ValidationError) -> RefusedError:
    """Return the refusal that names the first bad place, and what was expected there."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return RefusedError(status, f"{place}: {first['msg']}" if place else first["msg"], param=place or None)


def answer(status: int, message: str, param: str | None = None, code: str | None = None) -> JSONResponse:
    """Return an error in the shape of OpenAI's API, so that its clients raise the same exceptions."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    text = message.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"error": {"message": text, "type": kind, "param": param, "code": code}}, status)
