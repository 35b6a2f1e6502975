"""The operators that graphs may have, with their attributes, and the types of their outputs.

All are operators of ONNX itself that terminate and only read their inputs: no loops, windows, recurrent layers, random
numbers, writes at indices, or operators of another domain.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

FLOAT, UINT8, INT8, INT32, INT64, STRING, BOOL, FLOAT16, DOUBLE = 1, 2, 3, 6, 7, 8, 9, 10, 11
# NumPy's types of the elements of tensors.
DTYPES: Final = MappingProxyType(
    {FLOAT: "<f4", UINT8: "|u1", INT8: "|i1", INT32: "<i4", INT64: "<i8", BOOL: "|b1", FLOAT16: "<f2", DOUBLE: "<f8"}
)
REAL: Final = frozenset({FLOAT, FLOAT16, DOUBLE})


class Operator(NamedTuple):
    """An operator that is allowed."""

    makes: tuple[int, ...]
    """Types of the outputs: the first or second input's type, or the number of a type. The last is also that of all
    further outputs."""
    attributes: frozenset[str]


FIRST, SECOND, UNKNOWN = -1, -2, 0


def _table(makes: tuple[int, ...], operators: str) -> dict[str, Operator]:
    """Return the operators of a text such as ``Abs Concat:axis Gemm:alpha,beta``."""
    split = (entry.partition(":") for entry in operators.split())
    return {name: Operator(makes, frozenset(filter(None, attributes.split(",")))) for name, _, attributes in split}


_ARTIFACT = (
    _table(
        (FIRST,),
        "Abs Add Clip Concat:axis Div Exp Gather:axis GatherElements:axis Gemm:alpha,beta,transA,transB Identity "
        "MatMul Max Min Mul Neg Reciprocal ReduceMax:axes,keepdims,noop_with_empty_axes "
        "ReduceSum:axes,keepdims,noop_with_empty_axes Relu Reshape:allowzero Round Slice Softmax:axis Sqrt Squeeze "
        "Sub Transpose:perm Unsqueeze",
    )
    | _table((SECOND,), "CastLike Where")
    | _table((BOOL,), "And Equal Greater GreaterOrEqual Less")
    | _table((INT32,), "MatMulInteger")
    | _table((INT64,), "ArgMax:axis,keepdims,select_last_index ArgMin:axis,keepdims,select_last_index Shape:start,end")
    | _table((FIRST, INT64), "TopK:axis,largest,sorted")
    | _table((UNKNOWN,), "Cast:to If:else_branch,then_branch")
)
_ENCODER = (
    _ARTIFACT
    | _table(
        (FIRST,),
        "Ceil Clip:max,min Cos CumSum:exclusive,reverse Erf Expand Flatten:axis Floor Gelu:approximate LeakyRelu:alpha "
        "Log LogSoftmax:axis Mod:fmod Pow Range ReduceL2:axes,keepdims,noop_with_empty_axes "
        "ReduceMean:axes,keepdims,noop_with_empty_axes ReduceMin:axes,keepdims,noop_with_empty_axes "
        "ReduceProd:axes,keepdims,noop_with_empty_axes Sigmoid Sign Sin Softplus Split:axis,num_outputs,split "
        "Squeeze:axes Sum Tanh Tile Trilu:upper Unsqueeze:axes",
    )
    | _table((SECOND,), "DequantizeLinear:axis")
    | _table((BOOL,), "IsInf:detect_negative,detect_positive IsNaN LessOrEqual Not Or")
    | _table((FLOAT,), "ConstantOfShape")
    | _table((INT64,), "Size")
    | _table((FIRST, BOOL), "Dropout:ratio,seed")
    | _table((FIRST, FLOAT), "LayerNormalization:axis,epsilon,stash_type")
    | _table((UINT8, FLOAT, UINT8), "DynamicQuantizeLinear")
    | _table((UNKNOWN,), "Constant:value_float,value_floats,value_int,value_ints")
)
ARTIFACT: Final[Mapping[str, Operator]] = MappingProxyType(_ARTIFACT)
ENCODER: Final[Mapping[str, Operator]] = MappingProxyType(_ENCODER)
# Places of inputs and outputs that may be empty. Where others are empty, onnxruntime reads out of bounds.
MAY_LACK: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        "Clip": frozenset({1, 2}),
        "Dropout": frozenset({1, 2}),
        "LayerNormalization": frozenset({1, 2}),
        "Slice": frozenset({3}),
    }
)
# Inputs that must be non-empty vectors within the file: for other inputs, older onnxruntime reads out of bounds.
_AXES = (
    "CumSum",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Squeeze",
    "Unsqueeze",
)
CONSTANT: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {**dict.fromkeys(_AXES, (1,)), "LayerNormalization": (1, 2)}
)
SCALAR: Final = frozenset({"CumSum"})
"""Operators of `CONSTANT` whose input may be a scalar."""
# Operators whose axis must be the last: they do not compare other axes with the number of dimensions.
LAST_AXIS: Final = frozenset({"LayerNormalization"})
# Operators that stop the process where they divide an integer by 0 or -1: by the second input, or by a count of 0.
DIVIDES: Final = frozenset({"Div", "Mod"})
COUNTS: Final = frozenset({"ReduceMean"})


class Attribute(NamedTuple):
    """How an attribute is held."""

    type: int
    field: str


_FLOAT, _INTEGER, _STRING = Attribute(1, "f"), Attribute(2, "i"), Attribute(3, "s")
_GRAPH, _FLOATS, _INTEGERS = Attribute(5, "g"), Attribute(6, "floats"), Attribute(7, "ints")
_HELD = {
    "alpha": _FLOAT,
    "approximate": _STRING,
    "axes": _INTEGERS,
    "beta": _FLOAT,
    "else_branch": _GRAPH,
    "epsilon": _FLOAT,
    "max": _FLOAT,
    "min": _FLOAT,
    "perm": _INTEGERS,
    "ratio": _FLOAT,
    "split": _INTEGERS,
    "then_branch": _GRAPH,
    "value_float": _FLOAT,
    "value_floats": _FLOATS,
    "value_ints": _INTEGERS,
}
ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType(
    {name: _HELD.get(name, _INTEGER) for operator in ENCODER.values() for name in operator.attributes}
)
