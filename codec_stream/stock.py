"""Sizes of a codec in the form that transformers' own modules want: for making codecs, and for comparing with them.

Importing transformers' models takes seconds, so nothing that serves imports this.
"""

from transformers.models.dac.configuration_dac import DacConfig
from transformers.models.hubert.configuration_hubert import HubertConfig

from codec_stream.codec_config import CodecConfig


def dac_config(config: CodecConfig) -> DacConfig:
    """Return the acoustic sizes in the form that transformers' DacEncoder and DacDecoder want."""
    return DacConfig.from_dict(
        {
            "encoder_hidden_size": config.encoder_hidden_size,
            "downsampling_ratios": list(config.downsampling_ratios),
            "decoder_hidden_size": config.decoder_hidden_size,
            "upsampling_ratios": list(config.upsampling_ratios),
            "hidden_size": config.acoustic_hidden_size,
        }
    )


def hubert_config(config: CodecConfig) -> HubertConfig:
    """Return the checkpoint's HuBERT config without the training-time masks, whose embedding encoding never uses."""
    return HubertConfig.from_dict({**config.semantic, "mask_time_prob": 0.0, "mask_feature_prob": 0.0})
