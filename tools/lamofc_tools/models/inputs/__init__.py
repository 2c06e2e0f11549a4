"""Inputs of models: images, sounds and texts in folders and files, and the views of an image that go through a model.

In: a folder or a file. Out: inputs by id; an image as the tensors of its views."""

from lamofc_tools.models.inputs.image_views import IMAGE_VIEWS, ImageViews, image_views
from lamofc_tools.models.inputs.model_input import InputKind, ModelInput, find_inputs

__all__ = ["IMAGE_VIEWS", "ImageViews", "InputKind", "ModelInput", "find_inputs", "image_views"]
