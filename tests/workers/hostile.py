"""ONNX models that pass intake and misbehave when they are run."""

from __future__ import annotations

from typing import Any

ROWS_BY_TWO = ["n", 2]


def _model(nodes: list[Any], initializers: list[Any]) -> bytes:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ROWS_BY_TWO)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ROWS_BY_TWO)],
        initializers,
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())


def that_never_ends() -> bytes:
    """A loop of 2**62 rounds before the answer."""
    from onnx import TensorProto, helper

    carried = helper.make_tensor_value_info("carried", TensorProto.FLOAT, ROWS_BY_TWO)
    kept = helper.make_tensor_value_info("kept", TensorProto.FLOAT, ROWS_BY_TWO)
    go_on = helper.make_tensor_value_info("go_on", TensorProto.BOOL, [])
    go_on_out = helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, [])
    rounds = helper.make_tensor_value_info("round", TensorProto.INT64, [])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("Identity", ["carried"], ["kept"]),
        ],
        "body",
        [rounds, go_on, carried],
        [go_on_out, kept],
    )
    return _model(
        [
            helper.make_node("Loop", ["rounds", "start", "x"], ["looped"], body=body),
            helper.make_node("Softmax", ["looped"], ["probabilities"]),
        ],
        [
            helper.make_tensor("rounds", TensorProto.INT64, [], [2**62]),
            helper.make_tensor("start", TensorProto.BOOL, [], [True]),
        ],
    )


def that_eats_memory() -> bytes:
    """Makes eight gibibytes of ones before the answer."""
    from onnx import TensorProto, helper

    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    return _model(
        [
            helper.make_node("Softmax", ["x"], ["safe"]),
            helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
            helper.make_node(
                "Cast", ["least"], ["seed"], to=TensorProto.INT64
            ),  # so that it is not folded away
            helper.make_node("Mul", ["seed", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "huge"], ["shape"]),
            helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=one),
            helper.make_node("ReduceMean", ["ones"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["safe", "mean"], ["probabilities"]),
        ],
        [
            helper.make_tensor("zero", TensorProto.INT64, [], [0]),
            helper.make_tensor("huge", TensorProto.INT64, [1], [2**31]),
        ],
    )
