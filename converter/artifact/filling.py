"""The bytes of a model with the values of large tensors, which its graph only names."""

from collections.abc import Iterator
from typing import cast

from modelpick.runtime import DocumentError
from modelpick.runtime.artifact.messages import ModelProto
from modelpick.runtime.artifact.protobuf import decode, encode

from ..graphs.tensors import LARGEST_FILE, Values


def filled(model: bytes, tensors: dict[str, Values]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a serialized ModelProto in parts, with the values of the tensors that it only names.

    The bytes are the same as if the whole model were serialized at once. Each tensor is taken out of the dict, and
    freed once it is written.

    Raises
    ------
    DocumentError
        When the bytes are more than a file may have.
    """
    proto = decode(ModelProto, model)
    assert proto.graph is not None
    for tensor in proto.graph.initializer:
        if tensor.name in tensors:
            tensor.raw_data = cast(memoryview, tensors.pop(tensor.name))  # only its length is read
    parts: list[bytes | memoryview | Values] = [*reversed(encode(proto))]
    del proto
    size = sum(map(len, parts))
    if size > LARGEST_FILE:
        raise DocumentError(f"expected a graph that fits the 2 GB of an ONNX file, got {size:,} bytes")
    while parts:
        part = parts.pop()
        if isinstance(part, Values):
            yield from part.stored()
        else:
            yield part
