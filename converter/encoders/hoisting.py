"""Tensors of a graph, where the runtime reads them: it refuses nodes that hold any, as these might be elsewhere."""

from onnx import GraphProto, helper, numpy_helper


def hoist(graph: GraphProto) -> None:
    """Make initializers of the tensors that nodes hold, in the inner graphs as well, and none of them external."""
    for tensor in graph.initializer:
        tensor.ClearField("data_location")  # says that it is here, once external data were read
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                hoist(attribute.g)
        value = next((one.t for one in node.attribute if one.name == "value" and one.HasField("t")), None)
        if value is None:
            graph.node.append(node)
        elif node.op_type == "Constant":
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
        else:  # ConstantOfShape, the only other operator with such a tensor
            filler = f"{node.output[0]}_value"
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value).reshape(()), filler))
            graph.node.append(helper.make_node("Expand", [filler, node.input[0]], node.output, node.name))
