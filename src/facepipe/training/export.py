"""Join trained networks into a restorer that ships: one safetensors file and its graph."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import onnx
import onnx.utils
import torch
from onnx.external_data_helper import set_external_data

from facepipe._files import sha256_of, write_bytes
from facepipe.datatypes import CANVAS
from facepipe.models.networks.fishsrnet import INPUT_CHANNELS, FishSRNet, GuidedFishSRNet
from facepipe.models.networks.parsingnet import ParsingNet
from facepipe.models.weights import load_weights, save_weights

_LARGEST_BATCH = 4096


def export(
    parsing: Path, restore: Path, target: Path, *, mix: Path | None = None, share: float = 0.5
) -> list[tuple[Path, str]]:
    """Write `target` (.safetensors), its `.onnx` and `-parse.onnx`; give each with its sha256.

    With `mix`, the restoring network is `share` of those weights and 1 - share of `restore`: of a
    training that went on from another's weights, a mean does better than either on both's figures.

    The second graph parses only. A graph holds no weights of its own: it points into the
    safetensors file beside it, so there is one copy, and no way for them to differ. Weights are
    kept in half precision, which moves no pixel by a tenth of a code value, and widened when they
    are loaded.
    Raises ModelError for weights that do not fit.
    """
    network = GuidedFishSRNet(ParsingNet(), FishSRNet()).eval()
    notes = {"parsing": load_weights(network.parsing, parsing)}
    if mix is not None:
        notes["mixed"] = load_weights(network.restore, mix) | {"share": f"{share:g}"}
        other = {name: value.clone() for name, value in network.restore.state_dict().items()}
    notes["restore"] = load_weights(network.restore, restore)
    if mix is not None:
        own = network.restore.state_dict()
        network.restore.load_state_dict(
            {name: torch.lerp(value, other[name], share) for name, value in own.items()}
        )
    told = {f"{part}.{k}": v for part, header in notes.items() for k, v in header.items()}
    save_weights(network, target, told, dtype=torch.float16)
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
    places = _places(weights)
    widened = []
    for tensor in model.graph.initializer:
        if tensor.name in places:
            offset, length = places[tensor.name]
            name, tensor.name = tensor.name, tensor.name + ".half"
            tensor.data_type = onnx.TensorProto.FLOAT16
            set_external_data(tensor, weights.name, offset=offset, length=length)
            tensor.ClearField("raw_data")
            cast = onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            widened.append(cast)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*widened, *nodes])
    _forget_origin(model)
    _write(model, graph)


def _write_parse_graph(graph: Path, target: Path) -> None:
    """Write that part of a restorer's `graph` which parses, for the same weights beside it."""
    whole = onnx.load(graph, load_external_data=False)
    _write(onnx.utils.Extractor(whole).extract_model(["seen"], ["parse"]), target)


def _write(model: onnx.ModelProto, target: Path) -> None:
    write_bytes(model.SerializeToString(), target)


def _places(weights: Path) -> dict[str, tuple[int, int]]:
    """Offset and length in bytes of every tensor in a safetensors file."""
    with weights.open("rb") as file:
        (header_length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(header_length))
    base = 8 + header_length
    return {
        name: (base + entry["data_offsets"][0], entry["data_offsets"][1] - entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _forget_origin(model: onnx.ModelProto) -> None:
    # The exporter notes stack traces with paths of the machine it ran on.
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
