"""The rest of models of images and sounds, and of Stable Diffusion 3.

In: a model, and inputs whose features a store has. Out: figures of what it answers to the decoded features.
"""

from lamofc_tools.evaluation.media.diffusion_model import DiffusionModel
from lamofc_tools.evaluation.media.encoder_model import EncoderModel
from lamofc_tools.evaluation.media.error_sums import ErrorSums
from lamofc_tools.evaluation.media.picture_judge import PictureJudge
from lamofc_tools.evaluation.media.speech_model import SpeechModel

__all__ = ["DiffusionModel", "EncoderModel", "ErrorSums", "PictureJudge", "SpeechModel"]
