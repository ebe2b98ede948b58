"""What somebody asked a worker for on the page, read from the journal as it changes."""

import logging

from bowam_stream.errors import JournalError
from bowam_stream.events import Journal
from bowam_stream.events.sensitivity import Sensitivity, asked, forget_wishes

log = logging.getLogger(__name__)


class Wishes:
    """The sensitivity of each camera.

    A worker that its supervisor started again (`keep`) goes on with what holds; any other begins with its settings.
    """

    def __init__(self, journal: Journal, *, keep: bool) -> None:
        """Raises JournalError where the journal can't be read."""
        self._journal = journal
        self._seen = journal.changes()
        try:
            if not keep:
                forget_wishes(journal)
        except JournalError as error:
            if not error.passing:
                raise
            log.warning("%s; what was asked for on the page before holds until it can be written", error)
        self._asked: dict[str, Sensitivity] = asked(journal)

    def changed(self) -> bool:
        """Whether something else is asked for than at the last call. Costs next to nothing where nobody has written."""
        try:
            seen = self._journal.changes()
            if seen == self._seen:
                return False
            wishes = asked(self._journal)
        except JournalError as error:  # whoever writes events suffers from it, and says so
            log.debug("%s", error)
            return False
        self._seen = seen
        before, self._asked = self._asked, wishes
        return before != wishes

    def threshold(self, camera: str) -> float | None:
        """Of the spotter; None: as the settings say."""
        wish = self._asked.get(camera)
        return None if wish is None else wish.threshold
