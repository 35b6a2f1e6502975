"""The bytes of a model whose graph only names its large tensors, with their values in it."""

from collections import deque
from collections.abc import Iterator

from modelpick.runtime import DocumentError
from modelpick.runtime.artifact.onnx_reader import (
    GRAPH_INITIALIZER,
    MODEL_GRAPH,
    TENSOR_NAME,
    TENSOR_RAW,
    fields,
    messages,
    text,
)
from modelpick.runtime.artifact.pruning import field, head

from ..graphs.tensors import LARGEST_FILE, Values


def filled(model: bytes, tensors: dict[str, Values]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a serialized ModelProto in parts, with the values of tensors behind their names.

    They are those that serializing the whole would give: what else a tensor has stands before its values. The tensors
    are taken out of the dict, and let go of once they are written.

    Raises
    ------
    DocumentError
        When they are more than a file may have.
    """
    for number, value in fields(memoryview(model)):
        if number != MODEL_GRAPH or isinstance(value, int):
            yield field(number, value)
            continue
        parts = deque(_graph(value, tensors))
        size = sum(part.nbytes if isinstance(part, Values) else len(part) for part in parts)
        if size > LARGEST_FILE:
            raise DocumentError(f"expected a graph that fits the 2 GB of an ONNX file, got {size:,} bytes")
        yield head(number, size)
        while parts:
            part = parts.popleft()
            if isinstance(part, Values):
                yield from part.stored()
            else:
                yield part


def _graph(graph: memoryview, tensors: dict[str, Values]) -> Iterator[bytes | memoryview | Values]:
    for number, value in messages(graph):
        is_tensor = number == GRAPH_INITIALIZER
        values = tensors.pop(text(dict(messages(value)).get(TENSOR_NAME)), None) if is_tensor else None
        if values is None:
            yield field(number, value)
            continue
        before = head(TENSOR_RAW, values.nbytes)
        yield from (head(number, len(value) + len(before) + values.nbytes), value, before, values)
