"""The teacher's graph in floating point, cut where its own vocoder would begin.

    python -m training.voice.graph WORK

The packaged graph is quantised to 8 bits, weights and activations. Here the weights are taken back to float32 (the
activations are then not rounded at all) and the graph is written twice: `whole.onnx` with all outputs, and `short.onnx`
without its vocoder, which is seven eighths of the work. Needs `onnx`."""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WAVE = "audio"
DURATIONS = "/encoder/Clip_output_0"
"""The output that says how many frames of 25 ms every sign lasts."""
F0 = "/encoder/Reshape_output_0"
"""The output with the pitch in Hz, one value each 12.5 ms; near zero where unvoiced."""
HIDDEN = "/decoder/decoder/decode.3/Div_4_output_0"
"""The output with the hidden states [1, 512, n], one each 12.5 ms: all that the vocoder reads beside the pitch."""
DOTS = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}


def write(folder: Path) -> None:
    """Write `whole.onnx` and `short.onnx` beside `model.onnx`."""
    if (folder / "short.onnx").exists():
        return
    import onnx

    model = onnx.load(str(folder / "model.onnx"))
    _to_float(model.graph)
    _write(model, [WAVE, DURATIONS, F0, HIDDEN], folder / "whole.onnx")
    _write(model, [DURATIONS, F0, HIDDEN], folder / "short.onnx")


class _Links:
    """Knows which node makes each value of a graph, and which nodes read it."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self._held = {tensor.name: tensor for tensor in graph.initializer}
        self._made = {name: node for node in graph.node for name in node.output}
        self._read: dict[str, list[Any]] = defaultdict(list)
        self._array = numpy_helper.to_array
        for node in graph.node:
            for name in node.input:
                self._read[name].append(node)

    def held(self, name: str) -> np.ndarray:
        return np.asarray(self._array(self._held[name]))

    def maker(self, name: str) -> Any:
        return self._made[name]

    def reader(self, node: Any) -> Any:
        (only,) = self._read[node.output[0]]
        return only


def _to_float(graph: Any) -> None:
    from onnx import numpy_helper

    links, replaced, weights = _Links(graph), set(), {}

    def keep(name: str, value: np.ndarray) -> str:
        weights[name] = numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
        return name

    for node in list(graph.node):
        if node.op_type in DOTS:
            bias, cast = [], links.reader(node)
            if cast.op_type == "Add":  # a bias in units of both scales
                replaced.add(cast.output[0])
                other = next(name for name in cast.input if name != node.output[0])
                divided = links.maker(links.maker(links.maker(links.maker(other).input[0]).input[0]).input[0])
                bias, cast = [divided.input[0]], links.reader(cast)
            scaled = links.reader(cast)
            scales = links.maker(next(name for name in scaled.input if name != cast.output[0]))
            quantised = links.maker(node.input[0])
            scale = next(name for name in scales.input if name != quantised.output[1])
            shape = (
                (-1, 1, 1) if node.op_type == "ConvInteger" and links.held(scale).size > 1 else links.held(scale).shape
            )
            value = links.held(node.input[1]).astype(np.float32) - links.held(node.input[3]).astype(np.float32).reshape(
                shape
            )
            name = keep(node.input[1] + "_float", value * links.held(scale).reshape(shape))
            replaced |= {cast.output[0], scaled.output[0]}
            _become(node, DOTS[node.op_type], [quantised.input[0], name, *bias], scaled.output[0])
        elif node.op_type == "DynamicQuantizeLSTM":
            inputs = list(node.input)
            names = [
                keep(inputs[at] + "_float", _unrolled(*(links.held(inputs[i]) for i in (at, scale, zero))))
                for at, scale, zero in ((1, 8, 9), (2, 10, 11))
            ]
            node.domain = ""
            _become(node, "LSTM", [inputs[0], *names, *inputs[3:7]])
    kept = [node for node in graph.node if node.output[0] not in replaced or node.op_type in DOTS.values()]
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(weights.values())


def _become(node: Any, kind: str, inputs: list[str], output: str | None = None) -> None:
    node.op_type = kind
    del node.input[:]
    node.input.extend(inputs)
    if output is not None:
        del node.output[:]
        node.output.append(output)


def _unrolled(weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Turn 8-bit weights [directions, in, 4 x hidden] into float ones [directions, 4 x hidden, in]."""
    shape = (len(weight), 1, -1)
    centred: NDArray[np.float32] = weight.astype(np.float32) - zero.astype(np.float32).reshape(shape)
    real: NDArray[np.float32] = centred * scale.reshape(shape)
    return real.transpose(0, 2, 1)


def _write(model: Any, outputs: list[str], path: Path) -> None:
    """Write only those nodes that these outputs need."""
    import onnx

    part = onnx.ModelProto()
    part.CopyFrom(model)
    graph = part.graph
    made = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    open_ends = list(outputs)
    while open_ends:
        name = open_ends.pop()
        if name in made and made[name].output[0] not in needed:
            needed.add(made[name].output[0])
            open_ends += [value for value in made[name].input if value]
    kept = [node for node in graph.node if node.output[0] in needed]
    read = {name for node in kept for name in node.input}
    held = [tensor for tensor in graph.initializer if tensor.name in read]
    for field, values in ((graph.node, kept), (graph.initializer, held), (graph.value_info, [])):
        del field[:]
        field.extend(values)
    del graph.output[:]
    graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs)
    onnx.save(part, str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    write(parser.parse_args().work / "teacher")


if __name__ == "__main__":
    main()
