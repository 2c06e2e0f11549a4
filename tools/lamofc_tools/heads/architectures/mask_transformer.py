"""Mask2Former on maps of four sizes (Cheng et al., 2022), of the modules and by the loss of transformers.

The pixel decoder refines the three smaller maps by deformable attention and makes one large map of mask features. The
queries of the transformer decoder attend to the refined maps; each predicts one mask and its class, or no class.
"""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lamofc_codecs import MissingExtra
from lamofc_tools.metrics import IGNORED

MOST_POINTS = 12_544
"""Most points of a mask at which the loss compares it; smaller masks are compared at as many points as they have."""
_LAYER_NUMBER = re.compile(r"_\d+$")
"""Ending of a loss's name that is the number of a decoder layer."""


@dataclass(frozen=True)
class MaskPredictions:
    """Predictions of all queries after each layer of the decoder, the last of which are the answer."""

    classes: list[Tensor]
    """Logits, samples x queries x classes + 1; the last class is none."""
    masks: list[Tensor]
    """Logits, samples x queries x rows x columns."""

    def scores(self, size: Sequence[int] | None = None) -> Tensor:
        """Return samples x classes x rows x columns: masks, resized first, weighed by the probabilities of classes."""
        masks = self.masks[-1].float()
        if size is not None:
            masks = interpolate(masks, size=tuple(size), mode="bilinear", align_corners=False)
        probabilities = self.classes[-1].float().softmax(-1)[..., :-1]
        return torch.einsum("bqc,bqhw->bchw", probabilities, masks.sigmoid())


class MaskTransformer(nn.Module):
    """Pixel decoder, transformer decoder and classifier of queries, as a config of transformers describes them."""

    def __init__(self, config: Any, pixel_decoder: nn.Module, decoder: nn.Module, class_predictor: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.pixel_decoder, self.decoder, self.class_predictor = pixel_decoder, decoder, class_predictor

    @classmethod
    def new(cls, config: Any, channels: Sequence[int]) -> "MaskTransformer":
        """Make an untrained one for maps of some channels, as transformers initialises it."""
        modules = import_mask2former()
        transformer = cls(
            config,
            modules.Mask2FormerPixelDecoder(config, list(channels)),
            modules.Mask2FormerTransformerModule(config.feature_size, config),
            nn.Linear(config.hidden_dim, config.num_labels + 1),
        )
        transformer.apply(modules.Mask2FormerPreTrainedModel(config)._init_weights)
        return transformer

    def forward(self, maps: Sequence[Tensor]) -> MaskPredictions:
        """Predict masks and their classes from maps, the largest first."""
        pixels = self.pixel_decoder(list(maps), output_hidden_states=False)
        decoded = self.decoder(pixels.multi_scale_features, pixels.mask_features, output_hidden_states=True)
        classes = [self.class_predictor(queries.transpose(0, 1)) for queries in decoded.intermediate_hidden_states]
        return MaskPredictions(classes, list(decoded.masks_queries_logits))

    def loss(self, predictions: MaskPredictions, targets: Tensor) -> Tensor:
        """Return the set loss, summed over the decoder's layers.

        The Hungarian algorithm assigns a query to each class of a map of labels. Its class is compared by
        cross-entropy, its mask by binary cross-entropy and Dice at random points.
        """
        labelled = [number for number, labels in enumerate(targets) if bool((labels != IGNORED).any())]
        outputs = [(predictions.classes[layer].float(), predictions.masks[layer].float()) for layer in self._layers()]
        if not labelled:
            return outputs[0][1].sum() * 0  # keeps the graph, so that a batch without any label has zero gradients
        layers = [
            {"class_queries_logits": classes[labelled], "masks_queries_logits": masks[labelled]}
            for classes, masks in outputs
        ]
        classes, masks = zip(*(_segments_of(targets[number]) for number in labelled), strict=True)
        weights = {
            "loss_cross_entropy": self.config.class_weight,
            "loss_mask": self.config.mask_weight,
            "loss_dice": self.config.dice_weight,
        }
        with torch.autocast(targets.device.type, enabled=False):
            losses = self._criterion(weights, outputs[0][1])(
                **layers[0], mask_labels=list(masks), class_labels=list(classes), auxiliary_predictions=layers[1:]
            )
        return torch.stack([value * weights[_LAYER_NUMBER.sub("", name)] for name, value in losses.items()]).sum()

    def _layers(self) -> list[int]:
        """Return the layers whose predictions count in the loss, the last layer first."""
        earlier = list(range(self.config.decoder_layers - 1)) if self.config.use_auxiliary_loss else []
        return [-1, *earlier]

    def _criterion(self, weights: dict[str, float], masks: Tensor) -> Any:
        modules = import_mask2former()
        config = copy(self.config)
        config.train_num_points = min(MOST_POINTS, masks.shape[-2] * masks.shape[-1])
        try:
            return modules.Mask2FormerLoss(config, weights).to(masks.device)
        except ImportError as error:
            raise MissingExtra(
                f"the matching of masks needs SciPy: {error}", "pip install 'lamofc-store[demo]'"
            ) from error


def _segments_of(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the classes of a map of labels, and for each of them a mask of its pixels."""
    classes = labels.unique().long()  # type: ignore[no-untyped-call]
    classes = classes[classes != IGNORED]
    return classes, (labels[None] == classes[:, None, None]).float()


def import_mask2former() -> Any:
    """Import the modules of Mask2Former; MissingExtra without transformers."""
    try:
        from transformers.models.mask2former import modeling_mask2former
    except ImportError as error:
        raise MissingExtra(f"Mask2Former needs transformers: {error}", "pip install 'lamofc-store[models]'") from error
    return modeling_mask2former
