"""Scope: checkpoints that cannot be run: each is refused with one sentence that says what it is and what to do."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from codec_stream.codec_config import CodecConfig
from codec_stream.errors import CheckpointError
from realtime.engine import worker
from realtime.engine.failures import load_failure
from realtime.engine.load import load_engine
from realtime.engine.messages import EngineConfig, LoadFailed, Outbound
from realtime.engine.models.higgs_v2.checkpoint import open_checkpoint
from realtime.engine.worker import Sender
from realtime.request import Sampling, Speak
from realtime.text import front_end
from tests.engine.harness import GREEDY, SMART, Stage, load

RELEASED = "bosonai/higgs-audio-v2-generation-3B-base"


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def _change(file: Path, **changes: Any) -> None:
    raw = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**raw, **changes}))


def _weights(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file)


def _refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_engine(EngineConfig(str(folder), slots=2, threads=1), front_end, lambda stage: None)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, "bitsandbytes int8"),
        (
            {
                "quantization_config": {
                    "quant_method": "bitsandbytes",
                    "load_in_4bit": True,
                    "bnb_4bit_quant_type": "nf4",
                }
            },
            "bitsandbytes nf4",
        ),
        ({"quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic"}}, "fp8"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "GPTQ"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "AWQ"),
        ({"quantization": {"group_size": 64, "bits": 6}, "quantization_config": {"group_size": 64, "bits": 6}}, "MLX"),
        ({"quantization_config": {"of": "tomorrow"}}, "of a kind it does not name"),
    ],
)
def test_a_config_that_says_quantised_is_refused_by_the_name_of_the_format(
    folder: Path, config: dict[str, Any], name: str
) -> None:
    _change(folder / "config.json", **config)
    sentence = _refusal(folder)
    assert f"({name}" in sentence
    assert f"made from, such as {RELEASED}" in sentence


@pytest.mark.parametrize("config", [{"quantization_config": None}, {"quantization_config": {}}, {}])
def test_a_config_that_names_no_quantisation_is_none(folder: Path, config: dict[str, Any]) -> None:
    _change(folder / "config.json", **config)
    open_checkpoint(str(folder))


_GATE = "model.layers.0.mlp.gate_proj"


def _int8(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """As bitsandbytes saves it: shapes stay, so nothing else would notice."""
    w = weights[f"{_GATE}.weight"]
    scale = w.abs().amax(1)
    quantised = (w / scale[:, None] * 127).round().to(torch.int8)
    return {**weights, f"{_GATE}.weight": quantised, f"{_GATE}.SCB": scale}


def _nf4(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    packed = torch.zeros(weights[f"{_GATE}.weight"].numel() // 2, 1, dtype=torch.uint8)
    state = {f"{_GATE}.weight.quant_state.bitsandbytes__nf4": torch.zeros(8, dtype=torch.uint8)}
    return {**weights, f"{_GATE}.weight": packed, f"{_GATE}.weight.absmax": torch.zeros(4), **state}


def _fp8(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    scale = {f"{_GATE}.weight_scale": torch.ones(1)}
    return {**weights, f"{_GATE}.weight": weights[f"{_GATE}.weight"].to(torch.float8_e4m3fn), **scale}


def _packed(*names: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    def change(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        kept = {name: tensor for name, tensor in weights.items() if name != f"{_GATE}.weight"}
        return {**kept, **{f"{_GATE}.{name}": torch.zeros(4, 4, dtype=torch.int32) for name in names}}

    return change


def _mlx(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    words = torch.zeros(64, 4, dtype=torch.int32).view(torch.uint32)
    return {**weights, f"{_GATE}.weight": words, f"{_GATE}.scales": torch.ones(64, 1), f"{_GATE}.biases": words.float()}


def _integers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**weights, f"{_GATE}.weight": weights[f"{_GATE}.weight"].to(torch.int16)}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_int8, "bitsandbytes int8"),
        (_nf4, "bitsandbytes nf4"),
        (_fp8, "fp8"),
        (_packed("qweight", "qzeros", "scales", "g_idx"), "GPTQ"),
        (_packed("qweight", "qzeros", "scales"), "AWQ"),
        (_packed("weight_packed"), "compressed-tensors"),
        (_mlx, "MLX"),
        (_integers, "int16"),
    ],
)
def test_quantised_weights_are_refused_by_the_name_of_their_format_whatever_the_config_says(
    folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], name: str
) -> None:
    _weights(folder, change)
    sentence = _refusal(folder)
    assert f"holds {name} weights" in sentence
    assert "use the checkpoint they were made from" in sentence


def test_a_quantised_codec_is_refused_too(folder: Path) -> None:
    _weights(folder / "codec", lambda weights: {**weights, "fc.weight": weights["fc.weight"].to(torch.float8_e5m2)})
    assert "holds fp8 weights" in _refusal(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_other_float_types_are_run(folder: Path, dtype: torch.dtype) -> None:
    _weights(folder, lambda weights: {name: tensor.to(dtype) for name, tensor in weights.items()})
    engine, info = load(folder)
    assert info.dtype == "float32"
    engine.close()


@pytest.mark.parametrize(
    ("model_type", "told", "advice"),
    [
        ("higgs_audio", "the original layout of Higgs Audio V2", "convert_higgs_audio_v2_to_hf.py"),
        ("higgs_multimodal_qwen3", "a Higgs Audio V3 checkpoint", f"V2 ones: use {RELEASED}"),
        ("higgs_audio_v2_tokenizer", "is a codec", "give it with --codec"),
        ("llama", "has model_type 'llama'", f"such as {RELEASED}"),
        (None, "has model_type None", f"such as {RELEASED}"),
    ],
)
def test_a_checkpoint_of_another_kind_is_told_what_it_is(
    folder: Path, model_type: str | None, told: str, advice: str
) -> None:
    _change(folder / "config.json", model_type=model_type)
    sentence = _refusal(folder)
    assert told in sentence
    assert advice in sentence


@pytest.mark.parametrize(
    ("file", "told"), [("adapter_config.json", "is a LoRA adapter"), ("higgs.Q4_K_M.gguf", "holds GGUF weights")]
)
def test_a_folder_that_is_no_whole_checkpoint_is_told_what_it_is(tmp_path: Path, file: str, told: str) -> None:
    (tmp_path / file).write_text("{}")
    sentence = _refusal(tmp_path)
    assert told in sentence
    assert "give --model" in sentence


def test_an_adapter_beside_the_weights_it_was_trained_on_is_to_be_merged_first(folder: Path) -> None:
    name = "model.layers.0.self_attn.q_proj"
    parts = {f"{name}.base_layer.weight": torch.zeros(2, 2), f"{name}.lora_A.default.weight": torch.zeros(2, 2)}
    _weights(folder, lambda weights: {**weights, **parts})
    assert "merge it" in _refusal(folder)


def test_a_codec_in_its_original_layout_is_told_where_the_other_is(folder: Path) -> None:
    (folder / "codec" / "model.safetensors").rename(folder / "codec" / "model.pth")
    assert "use --codec bosonai/higgs-audio-v2-tokenizer" in _refusal(folder)


def test_a_codec_that_the_processor_config_does_not_name_or_names_wrongly_is_asked_for(folder: Path) -> None:
    file = folder / "processor_config.json"
    _change(file, audio_tokenizer={"audio_tokenizer_name_or_path": "/somewhere/of/the/author"})
    assert f"{file} says that the codec is at '/somewhere/of/the/author': no such folder" in _refusal(folder)
    for nothing in (None, {}, "codec"):
        _change(file, audio_tokenizer=nothing)
        assert "say where the codec is with --codec" in _refusal(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_size": "big"}, "hidden_size"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_key_value_heads": -1}, "num_key_value_heads is -1"),
        ({"num_attention_heads": 3, "num_key_value_heads": 2}, "3"),
        ({"head_dim": 15}, "head_dim is 15"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1.0}}, "rope_parameters.factor is None"),
        ({"rope_parameters": {"rope_type": "longest"}}, "rope_type 'longest' is not supported"),
        ({"audio_stream_eos_id": 9999}, "audio_stream_eos_id is 9999"),
        ({"codebook_size": 0}, "codebook_size is 0"),
        ({"num_hidden_layers": 7}, "lack 'model.layers.1."),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_naming_the_key(
    folder: Path, changes: dict[str, Any], told: str
) -> None:
    _change(folder / "config.json", **changes)
    assert told in _refusal(folder)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("config.json", "{", "is not valid JSON"),
        ("generation_config.json", '{"top_k": "many"}', "has a setting that is no number"),
        ("tokenizer.json", '{"model": 1}', "is not a tokenizer"),
        ("chat_template.jinja", "{% if %}", "does not compile"),
        ("voiced.json", '{"front_end": "telepathy"}', "front end is 'telepathy'"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, file: str, content: str, told: str) -> None:
    (folder / file).write_text(content)
    assert told in _refusal(folder)


@pytest.mark.parametrize("kept", [0, 7, 200, -5])
@pytest.mark.parametrize("part", ["", "codec"])
def test_truncated_weights_are_refused_naming_the_file(folder: Path, part: str, kept: int) -> None:
    file = folder / part / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert f"{file}: is not a readable safetensors file" in _refusal(folder)


def _sharded(folder: Path, names: tuple[str, ...]) -> None:
    """The weights in shards of these names, with their index; no `model.safetensors`."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {name: sorted(weights)[index :: len(names)] for index, name in enumerate(names)}
    for name, members in parts.items():
        save_file({member: weights[member] for member in members}, folder / name)
    weight_map = {member: name for name, members in parts.items() for member in members}
    _change(folder / "model.safetensors.index.json", weight_map=weight_map)


def test_shards_are_read_as_their_index_says(folder: Path) -> None:
    whole = load_file(folder / "model.safetensors")
    _sharded(folder, ("a.safetensors", "b.safetensors"))
    read = open_checkpoint(str(folder)).weights()
    assert read.keys() == whole.keys()
    assert all(torch.equal(read[name], whole[name]) for name in whole)


def test_a_new_single_file_beside_an_old_index_is_what_is_loaded(folder: Path) -> None:
    new = load_file(folder / "model.safetensors")
    _sharded(folder, ("a.safetensors", "b.safetensors"))
    for shard in ("a.safetensors", "b.safetensors"):
        save_file({"tied.embedding.of.another.layout": torch.zeros(1)}, folder / shard)
    save_file(new, folder / "model.safetensors")
    assert open_checkpoint(str(folder)).weights().keys() == new.keys()


def test_an_index_that_names_a_file_outside_the_folder_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside.safetensors"
    _sharded(folder, ("../outside.safetensors",))
    assert outside.is_file()
    assert "weight_map names '../outside.safetensors'" in _refusal(folder)


def test_a_shard_that_is_missing_is_named(folder: Path) -> None:
    _sharded(folder, ("a.safetensors", "b.safetensors"))
    (folder / "b.safetensors").unlink()
    assert f"{folder / 'b.safetensors'}: is not a readable safetensors file" in _refusal(folder)


_SMALL_CODES = 16


def _with_few_codes(folder: Path) -> None:
    """Codebooks of 16 codes and two markers, in the model and in its codec."""
    books, size = 8, _SMALL_CODES + 2
    _change(
        folder / "config.json",
        codebook_size=size,
        audio_stream_bos_id=_SMALL_CODES,
        audio_stream_eos_id=_SMALL_CODES + 1,
    )
    cut = {"model.embed_audio_tokens.embed_audio_tokens.weight", "audio_lm_head.weight"}
    _weights(folder, lambda w: {n: t[: books * size].clone() if n in cut else t for n, t in w.items()})
    codec = folder / "codec"
    _change(codec / "config.json", codebook_size=_SMALL_CODES, target_bandwidths=[0.8])  # 8 books of 4 bits at 25 Hz
    assert CodecConfig.from_json(codec / "config.json").num_quantizers == books
    rows = 1024
    _weights(
        codec,
        lambda w: {
            n: t[:_SMALL_CODES].clone() if "codebook" in n and t.dim() and len(t) == rows else t for n, t in w.items()
        },
    )


def test_codebooks_of_fewer_ids_than_are_usually_looked_at_are_spoken_from(folder: Path) -> None:
    _with_few_codes(folder)
    engine, _ = load(folder)
    stage = Stage(engine)
    kinds = {
        "greedy": GREEDY,
        "few": Sampling(top_k=5),
        "more than there are": Sampling(top_k=50),
        "all": Sampling(top_k=0, top_p=0.9),
    }
    for name, sampling in kinds.items():
        stage.submit(Speak(name, "Good evening.", SMART, sampling=sampling, max_frames=12))
    stage.drain()
    for name in kinds:
        assert stage.ended[name].reason in ("stop", "length")
        assert stage.rows[name].max() < _SMALL_CODES + 2
    engine.close()


# What nobody can foresee.

_CUDA = (
    "CUDA out of memory. Tried to allocate 10.02 GiB. GPU 0 has a total capacity of 15.77 GiB of which 1.06 GiB is "
    "free. Including non-PyTorch memory, this process has 14.70 GiB memory in use."
)
_CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "21474836480 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError(_CUDA), "(10.02 GiB were asked for, 1.06 GiB were free)"),
        (RuntimeError(_CPU), "(20.00 GiB were asked for, "),
        (
            RuntimeError("CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA"),
            "there is not enough memory; free",
        ),
        (MemoryError(), "there is not enough memory; free some"),
    ],
)
def test_out_of_memory_says_what_was_asked_for_and_what_was_free(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    sentence = load_failure(error, "loading the language model")
    assert sentence.startswith("loading the language model: there is not enough memory")
    assert told in sentence
    assert caplog.records == []


def test_an_error_nobody_has_foreseen_is_one_sentence_and_a_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with _raised(RuntimeError("cuDNN error: CUDNN_STATUS_X\nException raised from a place\nframe #0: f()")) as error:
        sentence = load_failure(error, "warming up")
    assert sentence == (
        "warming up: failed unexpectedly (RuntimeError: cuDNN error: CUDNN_STATUS_X); the log holds the details."
    )
    assert [record.exc_info is not None for record in caplog.records] == [True]


class Told(Sender):
    """Keeps what the gateway is told."""

    def __init__(self) -> None:
        self.messages: list[Outbound] = []

    def send(self, message: Outbound) -> None:
        self.messages.append(message)


def test_a_worker_that_cannot_even_import_its_libraries_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "realtime.engine.load", None)
    told = Told()
    assert worker.load(EngineConfig(), told) is None
    (failed,) = told.messages
    assert isinstance(failed, LoadFailed)
    assert "ModuleNotFoundError" in failed.error


@contextmanager
def _raised(error: Exception) -> Iterator[Exception]:
    try:
        raise error
    except type(error) as caught:
        yield caught
