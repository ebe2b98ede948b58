"""Training: flows and labels in, a trained network out."""

from bowam_model.training.loop import TrainingSettings, augment, mirror, predict, rotate, train

__all__ = ["TrainingSettings", "augment", "mirror", "predict", "rotate", "train"]
