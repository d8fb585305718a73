"""Export of trained networks as a restorer: one safetensors file and its ONNX graphs."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import onnx
import onnx.utils
import torch
from onnx.external_data_helper import set_external_data

from facepipe._system.files import sha256_of, write_bytes
from facepipe.datatypes import CANVAS
from facepipe.models.networks.factory import guided_network
from facepipe.models.networks.fishsrnet import INPUT_CHANNELS, GuidedFishSRNet
from facepipe.models.networks.layers import merge_kernels
from facepipe.models.networks.parsingnet import ParsingNet
from facepipe.models.weights import load_weights, read_weights, save_weights

_LARGEST_BATCH = 4096


def export(
    parsing: Path, restore: Path, target: Path, *, mix: Path | None = None, share: float = 0.5
) -> list[tuple[Path, str]]:
    """Write `target` (.safetensors), its `.onnx` and `-parse.onnx`; give each with its sha256.

    With `mix`, the weights of the restoring network are interpolated: `share` of `mix` and 1 -
    share of `restore`. Where one training started from the other's weights, the mean is better than
    either by the figures of both.

    Kernels that were trained side by side are merged. The second graph only parses. A graph holds
    no weights: it points into the safetensors file in the same folder, so there is one copy of
    them. Weights are stored in half precision, which
    changes no pixel by a tenth of a code value, and converted to float32 when they are loaded.
    Raises ModelError for weights that do not fit.
    """
    form = read_weights(restore)[1].get("network", "fishsrnet")
    network = GuidedFishSRNet(ParsingNet(), guided_network(form)).eval()
    sources = {"parsing": load_weights(network.parsing, parsing)}
    if mix is not None:
        sources["mixed"] = load_weights(network.restore, mix) | {"share": f"{share:g}"}
        other = {name: value.clone() for name, value in network.restore.state_dict().items()}
    sources["restore"] = load_weights(network.restore, restore)
    if mix is not None:
        own = network.restore.state_dict()
        network.restore.load_state_dict(
            {name: torch.lerp(value, other[name], share) for name, value in own.items()}
        )
    sources["restore"]["network"] = form
    merge_kernels(network)
    metadata = {f"{part}.{k}": v for part, header in sources.items() for k, v in header.items()}
    save_weights(network, target, metadata, dtype=torch.float16)
    load_weights(network, target)
    graph = target.with_suffix(".onnx")
    _write_graph(network, target, graph)
    parse = target.with_name(f"{target.stem}-parse.onnx")
    _write_parse_graph(graph, parse)
    return [(path, sha256_of(path)) for path in (target, graph, parse)]


def _write_graph(network: GuidedFishSRNet, weights: Path, graph: Path) -> None:
    example = torch.rand(2, INPUT_CHANNELS, CANVAS, CANVAS)
    count = torch.export.Dim("n", min=1, max=_LARGEST_BATCH)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        torch.onnx.export(
            network,
            (example,),
            str(plain),
            input_names=["seen"],
            output_names=["restored", "parse"],
            dynamic_shapes=({0: count},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        model = onnx.load(plain)
    ranges = _tensor_ranges(weights)
    widened = []
    for tensor in model.graph.initializer:
        if tensor.name in ranges:
            offset, length = ranges[tensor.name]
            name, tensor.name = tensor.name, tensor.name + ".half"
            tensor.data_type = onnx.TensorProto.FLOAT16
            set_external_data(tensor, weights.name, offset=offset, length=length)
            tensor.ClearField("raw_data")
            cast = onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            widened.append(cast)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*widened, *nodes])
    _strip_metadata(model)
    _write(model, graph)


def _write_parse_graph(graph: Path, target: Path) -> None:
    """Write the parsing part of a restorer's `graph`, with the same external weights."""
    whole = onnx.load(graph, load_external_data=False)
    _write(onnx.utils.Extractor(whole).extract_model(["seen"], ["parse"]), target)


def _write(model: onnx.ModelProto, target: Path) -> None:
    write_bytes(model.SerializeToString(), target)


def _tensor_ranges(weights: Path) -> dict[str, tuple[int, int]]:
    """Offset and length in bytes of each tensor in a safetensors file."""
    with weights.open("rb") as file:
        (header_length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(header_length))
    base = 8 + header_length
    return {
        name: (base + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _strip_metadata(model: onnx.ModelProto) -> None:
    # The exporter writes stack traces with paths of its machine.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.doc_string = ""
