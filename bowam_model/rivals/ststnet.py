"""STSTNet, the shallow triple-stream network of Liong et al. 2019 (FG 2019, arXiv 1902.03634).

Axis legend: B batch, C channels, H rows, W columns, K classes.
"""

from torch import Tensor, nn

from bowam_model.errors import OptionError
from bowam_model.flow import Encoding
from bowam_model.training import NetworkLearner, TrainingSettings

STREAMS = (3, 5, 8)  # filters of each
INPUT_PX = 28

TRAINING = TrainingSettings(
    epochs=500,
    batch=256,
    learning_rate=5e-5,
    schedule="constant",
    weight_decay=0.0,  # AdamW without decay is Adam
    label_smoothing=0.0,
    mirror=False,
    rotation_deg=0.0,
    stretch=0.0,
    shift=False,
)
"""As the authors train: Adam, 5e-5, no augmentation; the paper's 500 epochs (their released program takes 800)."""

PICTURES = Encoding(fusion="picture", colours="picture", side_px=INPUT_PX, input_px=INPUT_PX)
"""Ready flow pictures of 28x28 as they are: u, v and strain."""


class StstNet(nn.Module):
    """Three streams of one convolution each, side by side on the same input, and one linear layer.

    In each stream: 3x3 convolution, ReLU, batch norm, 3x3 maximum with stride 3, dropout. The streams' maps are put
    together, averaged by 2x2 and classified. The order is that of the authors' released program, the convolution pads
    by 2 as there. At 28x28 and 3 classes the last layer has 400 inputs; there are 1,683 parameters, of which 448 in the
    convolutions, 32 in the batch norms and 1,203 in the last layer.

    Args:
        input_px: side of the input.
        byte_input: turn values of -1..1 into the 0..255 that the authors feed. The ReLU comes before the first batch
            norm, so that this is not the same network: a filter sees brightness, not the sign of a motion.
    """

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int = 3,
        *,
        input_px: int = INPUT_PX,
        dropout: float = 0.5,
        byte_input: bool = False,
    ) -> None:
        super().__init__()
        pooled = (input_px + 4 - 2 + 2 - 3) // 3 + 1  # after the convolution (pad 2, kernel 3) and the maximum (pad 1)
        if pooled < 2:
            raise OptionError(f"input_px is {input_px}: STSTNet needs at least 3")
        self.byte_input = byte_input
        # Nothing mixes the streams before the last layer: one convolution is the same, in a third of the time.
        self.streams = nn.Sequential(
            nn.Conv2d(in_channels, sum(STREAMS), 3, padding=2),
            nn.ReLU(),
            nn.BatchNorm2d(sum(STREAMS)),
            nn.MaxPool2d(3, 3, padding=1),
            nn.Dropout(dropout),
        )
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(sum(STREAMS) * (pooled // 2) ** 2, num_classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, in_channels, input_px, input_px) -> logits (B, K)."""
        if self.byte_input:
            x_BCHW = (x_BCHW + 1) * 127.5
        return self.head(self.pool(self.streams(x_BCHW)).flatten(1))


def ststnet(
    encoding: Encoding = PICTURES,
    training: TrainingSettings = TRAINING,
    *,
    dropout: float = 0.5,
    byte_input: bool = False,
    members: int = 1,
    mirror_at_test: bool = False,
) -> NetworkLearner:
    """STSTNet as a learner, on ready flow pictures of 28x28 if nothing else is said.

    For flows in pixels: `Encoding(fusion="traditional", colours="uv_strain", side_px=28, input_px=28)` with examples
    prepared at side 28.
    """
    options = {"input_px": encoding.input_px, "dropout": dropout, "byte_input": byte_input}
    return NetworkLearner(
        architecture="ststnet",
        options=options,
        encoding=encoding,
        training=training,
        members=members,
        mirror_at_test=mirror_at_test,
        build=StstNet,
    )
