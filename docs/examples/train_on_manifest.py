"""Train a network on clips of your own. A row of the manifest is a clip:

dataset,subject,clip,label,onset_path,apex_path,offset_path,cropped
mine,anna,1,positive,anna/1/a.png,anna/1/b.png,anna/1/c.png,yes

python train_on_manifest.py manifest.csv mine.safetensors
"""

import sys
from pathlib import Path

from bowam_model import Predictor, load, train_on_manifest


def main(manifest: Path, weights: Path, epochs: int | None = None) -> Predictor:
    """Train, say what came of it, and read it again: `bowam worker --weights` does the same."""
    predictor = train_on_manifest(manifest, weights, recipe="nano", epochs=epochs)
    print(f"{predictor.name} knows", *predictor.labels)
    print("and has seen", *predictor.trained_on)
    print("Nobody was held out: bowam loso measures the recipe.")
    assert load(weights).weights == predictor.weights
    return predictor


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
