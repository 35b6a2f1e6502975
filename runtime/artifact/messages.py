"""The messages of an ONNX file, with those fields of onnx.proto that an artifact or an encoder may have.

All other fields are refused: external data, functions, training information, sparse tensors, tensors in nodes, and
additions of later versions of the format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from .protobuf import Float

_NONE: frozenset[int] = frozenset()


@dataclass(slots=True)
class TensorProto:
    """An initializer."""

    dims: Annotated[list[int], 1]
    data_type: Annotated[int | None, 2] = None
    float_data: Annotated[memoryview | None, 4] = None
    int32_data: Annotated[memoryview | None, 5] = None
    int64_data: Annotated[memoryview | None, 7] = None
    name: Annotated[str | None, 8] = None
    raw_data: Annotated[memoryview | None, 9] = None
    double_data: Annotated[memoryview | None, 10] = None
    SKIPPED: ClassVar[frozenset[int]] = frozenset({6, 12, 16})  # string_data, doc_string, metadata_props


@dataclass(slots=True)
class AttributeProto:
    """An attribute of a node."""

    ints: Annotated[list[int], 8]
    floats: Annotated[list[Float], 7]
    name: Annotated[str | None, 1] = None
    f: Annotated[Float | None, 2] = None
    i: Annotated[int | None, 3] = None
    s: Annotated[memoryview | None, 4] = None
    g: Annotated[GraphProto | None, 6] = None
    type: Annotated[int | None, 20] = None
    SKIPPED: ClassVar[frozenset[int]] = frozenset({13})  # doc_string


@dataclass(slots=True)
class NodeProto:
    """A node."""

    input: Annotated[list[str], 1]
    output: Annotated[list[str], 2]
    attribute: Annotated[list[AttributeProto], 5]
    name: Annotated[str | None, 3] = None
    op_type: Annotated[str | None, 4] = None
    domain: Annotated[str | None, 7] = None
    SKIPPED: ClassVar[frozenset[int]] = frozenset({6, 9})  # doc_string, metadata_props


@dataclass(slots=True)
class Dimension:
    """A length, or a name for it."""

    dim_value: Annotated[int | None, 1] = None
    dim_param: Annotated[str | None, 2] = None
    SKIPPED: ClassVar[frozenset[int]] = frozenset({3})  # denotation


@dataclass(slots=True)
class TensorShapeProto:
    """The shape of a tensor."""

    dim: Annotated[list[Dimension], 1]
    SKIPPED: ClassVar[frozenset[int]] = _NONE


@dataclass(slots=True)
class TensorType:
    """The type of a tensor."""

    elem_type: Annotated[int | None, 1] = None
    shape: Annotated[TensorShapeProto | None, 2] = None
    SKIPPED: ClassVar[frozenset[int]] = _NONE


@dataclass(slots=True)
class TypeProto:
    """The type of a value, which is a tensor."""

    tensor_type: Annotated[TensorType | None, 1] = None
    SKIPPED: ClassVar[frozenset[int]] = frozenset({6})  # denotation


@dataclass(slots=True)
class ValueInfoProto:
    """An input or output of a graph."""

    name: Annotated[str | None, 1] = None
    type: Annotated[TypeProto | None, 2] = None
    SKIPPED: ClassVar[frozenset[int]] = frozenset({3, 4})  # doc_string, metadata_props


@dataclass(slots=True)
class GraphProto:
    """A graph."""

    node: Annotated[list[NodeProto], 1]
    initializer: Annotated[list[TensorProto], 5]
    input: Annotated[list[ValueInfoProto], 11]
    output: Annotated[list[ValueInfoProto], 12]
    name: Annotated[str | None, 2] = None
    # doc_string, value_info, quantization_annotation, metadata_props
    SKIPPED: ClassVar[frozenset[int]] = frozenset({10, 13, 14, 16})


@dataclass(slots=True)
class StringStringEntryProto:
    """A metadata entry."""

    key: Annotated[str | None, 1] = None
    value: Annotated[str | None, 2] = None
    SKIPPED: ClassVar[frozenset[int]] = _NONE


@dataclass(slots=True)
class ExternalTensorProto(TensorProto):
    """An initializer whose values onnxruntime gets separately from the file; written, and never read."""

    external_data: Annotated[list[StringStringEntryProto], 13] = field(default_factory=list)
    data_location: Annotated[int | None, 14] = 1


@dataclass(slots=True)
class OperatorSetIdProto:
    """The version of the operators of a domain."""

    domain: Annotated[str | None, 1] = None
    version: Annotated[int | None, 2] = None
    SKIPPED: ClassVar[frozenset[int]] = _NONE


@dataclass(slots=True)
class ModelProto:
    """An ONNX file."""

    opset_import: Annotated[list[OperatorSetIdProto], 8]
    metadata_props: Annotated[list[StringStringEntryProto], 14]
    ir_version: Annotated[int | None, 1] = None
    producer_name: Annotated[str | None, 2] = None
    producer_version: Annotated[str | None, 3] = None
    domain: Annotated[str | None, 4] = None
    model_version: Annotated[int | None, 5] = None
    doc_string: Annotated[str | None, 6] = None
    graph: Annotated[GraphProto | None, 7] = None
    SKIPPED: ClassVar[frozenset[int]] = _NONE
