"""Training: flows and labels in, a trained network out.

    learner = NetworkLearner(architecture="bowam-nano", training=NANO)
    model = learner.learn(examples, seed=0)          # `learning.Examples` -> NetworkModel
    model.predict(other_examples)                    # probabilities, (N, K)

`settings` says how, `augment` and `bowam_model.encoding` make what the network sees, `balance` plans an epoch, `loop`
trains one network, `learner` joins them behind the interface that the protocol knows.
"""

from bowam_model.encoding import encode_batch
from bowam_model.training.curves import write_curves
from bowam_model.training.learner import NetworkLearner, NetworkModel
from bowam_model.training.loop import Curve, predict, train
from bowam_model.training.pretrained import load_pretrained
from bowam_model.training.settings import NANO, PAPER, TrainingSettings

__all__ = [
    "NANO",
    "PAPER",
    "Curve",
    "NetworkLearner",
    "NetworkModel",
    "TrainingSettings",
    "encode_batch",
    "load_pretrained",
    "predict",
    "train",
    "write_curves",
]
