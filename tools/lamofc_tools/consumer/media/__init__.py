"""The rest of models of images and sounds as the consumer of features: encoders, Whisper, Stable Diffusion 3.

In: a model, its inputs and a block to split it after. Out: what is measured of the rest of the model, of which a metric
is made.
"""

from lamofc_tools.consumer.media.diffusion import measure_diffusion, measured_steps, scaled_answer
from lamofc_tools.consumer.media.encoder import EncoderSplit, measure_encoder
from lamofc_tools.consumer.media.replay import EncoderReplay
from lamofc_tools.consumer.media.speech import (
    before_end,
    draw_transcripts,
    encoder_states,
    likeliest_transcripts,
    measure_speech,
)

__all__ = [
    "EncoderReplay",
    "EncoderSplit",
    "before_end",
    "draw_transcripts",
    "encoder_states",
    "likeliest_transcripts",
    "measure_diffusion",
    "measure_encoder",
    "measure_speech",
    "measured_steps",
    "scaled_answer",
]
