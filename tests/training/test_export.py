"""Scope: the exported folder is what stock transformers loads, and the engine plays it without waiting."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import HiggsAudioV2ForConditionalGeneration

from codec_stream.codec_config import CodecConfig
from codec_stream.decoder import StreamingDecoder
from codec_stream.weights import load_codec_weights
from realtime.request import Sampling
from tests.oracle import transformers_codec
from training import checkpointing
from training.codec import blind, build_decoder
from training.codec_folder import read_decoder, read_encoder, stock_decoder
from training.prepare import load_quantizer
from training.speak import Speaker


def test_stock_transformers_finds_every_tensor_and_no_other(exported: Path) -> None:
    model, report = HiggsAudioV2ForConditionalGeneration.from_pretrained(exported, output_loading_info=True)
    assert not any(report.values()), report
    assert model.dtype == torch.bfloat16
    assert transformers_codec(exported / "codec").config.num_quantizers == 8


def test_the_codec_gives_back_the_quantizers_codes_and_latents(work: Path, exported: Path) -> None:
    codec, fitted = transformers_codec(exported / "codec"), load_quantizer(work)
    codes = np.random.default_rng(0).integers(0, 256, (9, 8))
    codes[:, 7] = 1
    with torch.no_grad():
        latents = codec.quantizer.decode(torch.from_numpy(codes.T[:, None]))[0, : fitted.dims].T
    np.testing.assert_allclose(latents.numpy(), fitted.decode(codes), atol=1e-4)


def test_the_stock_decoder_computes_what_the_causal_one_was_trained_to(work: Path, exported: Path) -> None:
    causal = build_decoder(load_quantizer(work).dims, 64)
    causal.load_state_dict(checkpointing.load(work / "decoder.pt")["model"])
    stock = stock_decoder(CodecConfig.from_json(exported / "codec" / "config.json"))
    causal.export(stock)
    latents = torch.randn(1, 48, 12)
    torch.testing.assert_close(causal(latents), stock(latents), rtol=1e-4, atol=1e-5)


def test_training_goes_on_from_an_exported_codec(work: Path, exported: Path) -> None:
    trained = checkpointing.load(work / "decoder.pt")["model"]
    recovered = read_decoder(exported / "codec").state_dict()
    assert recovered.keys() == trained.keys()
    assert all(torch.equal(recovered[name], tensor) for name, tensor in trained.items())
    wave = torch.randn(1, 1, 4 * 960)
    codec = transformers_codec(exported / "codec")
    torch.testing.assert_close(read_encoder(exported / "codec")(wave), codec.acoustic_encoder(wave))


def test_a_decoder_that_looks_ahead_cannot_be_trained_on(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "codec"
    shutil.copytree(exported / "codec", folder)
    weights = load_codec_weights(folder)
    weights["acoustic_decoder.conv2.weight"] += 0.1
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match="not causal"):
        read_decoder(folder)


def test_one_frame_of_look_ahead_is_enough(exported: Path) -> None:
    codec = transformers_codec(exported / "codec")
    codes = torch.randint(0, 256, (1, 8, 20))
    changed = codes.clone()
    changed[..., 12:] = (changed[..., 12:] + 1) % 256
    with torch.no_grad():
        before, after = codec.decode(codes).audio_values, codec.decode(changed).audio_values
    same = (before == after)[0, 0].nonzero().max().item() + 1 if (before == after).any() else 0
    assert (before - after)[..., : 11 * 960].abs().max() == 0
    assert same < 13 * 960
    config = CodecConfig.from_json(exported / "codec" / "config.json")
    assert (
        StreamingDecoder(config, load_codec_weights(exported / "codec"), torch.device("cpu"), None).look_ahead_frames
        == 1
    )


def test_the_tap_that_looks_ahead_does_not_see_the_voice() -> None:
    """The voice's code is the last of a frame to arrive; without it, the next frame already helps in full."""
    decoder = build_decoder(48, 64)
    blind(decoder)
    latents = torch.randn(1, 48, 6)
    other = latents.clone()
    other[:, -2:, 4:] += 1.0
    torch.testing.assert_close(decoder(latents)[..., : 4 * 960], decoder(other)[..., : 4 * 960], rtol=0, atol=0)


def test_the_engine_speaks_with_it(exported: Path) -> None:
    speaker = Speaker(exported, slots=2, max_clause_s=1.0)
    assert speaker.info.default_voice == "sam" and list(speaker.info.scene_voices) == ["sam", "ada", "otto"]
    texts = ["Hello there.", "One sentence, then another. " * 6]
    first = speaker.say(texts, "ada", seed=1)
    again = speaker.say(texts, "ada", seed=1, sampling=Sampling())
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))
    assert all(len(utterance.samples) % 960 == 0 for utterance in first)
