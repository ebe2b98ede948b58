"""How a recogniser is judged."""

from typing import Literal

import msgspec

from bowam_model.errors import OptionError


class ProtocolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that decides a figure besides the examples and the recipes."""

    kind: Literal["loso", "kfold"] = "loso"  # leave one subject out, or groups of subjects
    folds: int = 10  # of kfold
    fold_seed: int = 0  # of how subjects are grouped, for the inner validation too; the same for all seeds
    seeds: tuple[int, ...] = (0, 1, 2)  # each is a whole run
    selection: Literal["fixed", "inner"] = "fixed"  # the recipe's epochs, or chosen on training subjects
    inner_folds: int = 5  # groups that the training subjects of a fold are split into, for "inner"
    inner_rounds: int = 1  # how many of the groups validate in turn; 1 is a plain hold-out of 1/inner_folds
    smooth_epochs: int = 3  # the inner score of an epoch is the mean over this many around it; odd
    oracle: bool = False  # also keep the leaked figure: the best epoch on the test subject
    threads: int = 1  # of each process: it changes the last bits

    def __post_init__(self) -> None:
        if self.kind == "kfold" and self.folds < 2:
            raise OptionError(f"{self.folds} folds: at least 2")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise OptionError(f"seeds {self.seeds}: at least one, none twice, none negative")
        if self.inner_folds < 2 or not 1 <= self.inner_rounds <= self.inner_folds:
            raise OptionError(f"{self.inner_rounds} inner rounds of {self.inner_folds}: at least 1 round and 2 groups")
        if self.smooth_epochs < 1 or self.smooth_epochs % 2 == 0:
            raise OptionError(f"smooth_epochs is {self.smooth_epochs}: an odd number")
        if self.threads < 1:
            raise OptionError(f"{self.threads} threads: at least 1")

    def describe(self) -> str:
        """The rule in words, for the report."""
        split = "leave one subject out" if self.kind == "loso" else f"{self.folds} folds grouped by subject"
        if self.selection == "fixed":
            return f"{split}; the number of epochs was fixed beforehand"
        return (
            f"{split}; recipe and epoch chosen in each fold on its training subjects alone: highest pooled UF1 "
            f"(mean of {self.smooth_epochs} epochs, the first of equals) on {self.inner_rounds} of {self.inner_folds} "
            "groups of them held out, then learned anew from all of them"
        )
