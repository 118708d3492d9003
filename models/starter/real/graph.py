"""A small writer of ONNX graphs: named weights, nodes, and weights that are stored in 8 bits."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


class Graph:
    """Nodes and weights in the order in which they are added. Names begin with `prefix`."""

    def __init__(self, prefix=""):
        self.nodes, self.weights, self.prefix, self.n_names = [], [], prefix, 0

    def name(self):
        self.n_names += 1
        return f"{self.prefix}{self.n_names}"

    def weight(self, array, name=None):
        """Adds a constant and returns its name."""
        name = name or self.name()
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def floats(self, array):
        return self.weight(np.asarray(array, np.float32))

    def integers(self, array):
        return self.weight(np.asarray(array, np.int64))

    def small(self, array, axis):
        """Adds a weight as int8 with one scale for each index of `axis`. ONNX Runtime makes it 32-bit when a session loads."""
        axes = tuple(other for other in range(array.ndim) if other != axis)
        scale = np.abs(array).max(axes, keepdims=True).astype(np.float32) / 127 + 1e-12
        steps = self.op("Cast", self.weight(np.round(array / scale).astype(np.int8)), to=TensorProto.FLOAT)
        return self.op("Mul", steps, self.floats(scale))

    def op(self, kind, *inputs, out=None, **attributes):
        """Adds a node and returns the name of its output."""
        out = out or self.name()
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def unit(self, x, out=None):
        """Scales rows to length one; a zero row stays zero."""
        length = self.op("Max", self.op("ReduceL2", x, axes=[1], keepdims=1), self.floats(1e-6))
        return self.op("Div", x, length, out=out or self.name())

    def add_model(self, model, prefix, inputs):
        """Adds the graph of another model; `inputs` maps its inputs to names here. Returns the name of its first output."""
        graph = model.graph
        names = dict(inputs)

        def renamed(name):
            return names.get(name, prefix + name) if name else ""

        for weight in graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(weight)
            copy.name = renamed(weight.name)
            self.weights.append(copy)
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = prefix + node.name if node.name else ""
            copy.input[:] = [renamed(name) for name in node.input]
            copy.output[:] = [renamed(name) for name in node.output]
            self.nodes.append(copy)
        return renamed(graph.output[0].name)

    def model(self, name, inputs, outputs):
        """`inputs`, `outputs`: (name, element type, shape)."""
        ports = ([helper.make_tensor_value_info(*port) for port in side] for side in (inputs, outputs))
        model = helper.make_model(helper.make_graph(self.nodes, name, *ports, self.weights), opset_imports=[helper.make_opsetid("", OPSET)], producer_name="scened starter")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model
