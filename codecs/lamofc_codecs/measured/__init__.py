"""Encode as a consumer's answers have it: at the rate at which their divergence is measured, guided by its gradient.

In: what a sample's records code, and functions from decoded tensors to a divergence and to its gradient, and one that
draws gradients of the answers. Out: records, and the divergence that was measured.
"""

from lamofc_codecs.measured.coding import Coding
from lamofc_codecs.measured.descent import Descent
from lamofc_codecs.measured.guided_encoder import Guide, GuidedEncoder
from lamofc_codecs.measured.meet_divergence import Trial, meet_divergence
from lamofc_codecs.measured.together import MeasuredRecords, encode_measured, encode_together
from lamofc_codecs.measured.token_gains import Draw

__all__ = [
    "Coding",
    "Descent",
    "Draw",
    "Guide",
    "GuidedEncoder",
    "MeasuredRecords",
    "Trial",
    "encode_measured",
    "encode_together",
    "meet_divergence",
]
