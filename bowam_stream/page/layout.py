"""The page as a browser gets it: header, signal, events, and beside them face, camera and sensitivity."""

import math

from nicegui import ui

from bowam_stream.errors import ConfigError, StreamError
from bowam_stream.events.judgements import Judgement
from bowam_stream.events.sensitivity import Sensitivity
from bowam_stream.page.cards import utc_words
from bowam_stream.page.desk import Desk
from bowam_stream.page.health import Health
from bowam_stream.page.parts import Cards, Face, Feed, Said, Signal, Timeline, bounded, checked, style
from bowam_stream.page.room import Room
from bowam_stream.page.sensitivity import choice

THEMES = {"auto": None, "light": False, "dark": True}
LABELS = ("positive", "negative", "surprise", "happiness", "sadness", "anger", "fear", "disgust", "others", "none")
MOST_SESSIONS = 300
NOW = "now"  # the session of what goes on, in the list of sessions
NAMES = (("rate", "frames"), ("dropped", "dropped"), ("age", "age"), ("faces", "faces"))


class Layout:
    """One browser's page. `tick` keeps what stands in its header up to date."""

    def __init__(self, room: Room) -> None:
        self._room = room
        ui.add_head_html(f"<style>{style()}</style>")
        self._dark = ui.dark_mode(None)
        self._theme = "auto"
        self.feed = Feed(self._acknowledged, self._came)
        self.desk = Desk(room, self.feed.send, self._show_health)
        self._header()
        with ui.element("div").classes("page"):
            with ui.element("div").classes("column"):
                self._signal = ui.element("section").classes("sheet").props('aria-label="Motion"')
                with self._signal:
                    _title("Motion")
                    Signal()
                    Timeline(self.desk.seek, self.desk.step)
                with ui.element("section").classes("sheet").props('aria-label="Events"'):
                    _title("Events")
                    self._cards = Cards(
                        sorted({*LABELS, *(one.label for one in room.judgements.values() if one.label)}),
                        on_judge=self._judge,
                        on_turn=self.desk.turn,
                        on_pause=self._toggle_pause,
                        on_moment=self.desk.go_to_event,
                    )
            with ui.element("aside").classes("column"):
                if room.live or room.source.kept is not None:
                    self._face()
                if room.live:
                    self._camera_sheet()
                    self._sensitivity()

    def _header(self) -> None:
        with ui.element("header").classes("top"):
            with ui.element("h1"):
                ui.label("BOWAM stream").style("display: inline")
            self._cameras = ui.select([], label="Camera", on_change=self._look).props("outlined dense options-dense")
            self._sessions = ui.select({}, label="Session", on_change=self._look).props("outlined dense options-dense")
            self._pause = ui.button("Pause", on_click=self._toggle_pause).props("flat no-caps dense")
            self._pause.classes("pause").set_visibility(self._room.live)
            ui.element("span").classes("space")
            self._link = ui.label("connecting").classes("link").props('role="status"')
            self._theme_button = ui.button("Theme: auto", on_click=self._next_theme).props("flat no-caps dense")

    def _face(self) -> None:
        with ui.element("section").classes("sheet").props('aria-label="Face"'):
            _title("Face")
            live = self._room.live
            how = "bowam live --preview" if live else "bowam page FOLDER without --no-preview"
            Face(preview=self._room.config.page.preview, how=f"Faces are not shown. To see them: {how}.")

    def _camera_sheet(self) -> None:
        with ui.element("section").classes("sheet").props('aria-label="Camera"'):
            _title("Camera")
            self._values = {}
            with ui.element("div").classes("vital"):
                for key, words in NAMES:
                    with ui.element("div"):
                        ui.label(words).classes("name")
                        self._values[key] = ui.label("–").classes("value").mark(key)
            self._source = ui.label("").classes("source")
            self._warnings = ui.element("div").props('role="status"').classes("warnings")
            self._warned: tuple[str, ...] = ()

    def _sensitivity(self) -> None:
        chosen = choice(self._room.config)
        with ui.element("section").classes("sheet").props('aria-label="Sensitivity"'):
            _title("Sensitivity")
            with ui.element("div").classes("sense"):
                if chosen.why_not:
                    ui.label(f"It can't be chosen here: {chosen.why_not}.").classes("faint")
                else:
                    least, most = math.ceil(chosen.least * 10) / 10, math.floor(chosen.most * 10) / 10
                    with ui.element("div").classes("pair"):
                        self._slider = ui.slider(min=least, max=most, step=0.1, value=least)
                        self._slider.props('aria-label="False alarms per hour"')
                        self._number = ui.number(
                            min=least, max=most, step=0.1, precision=1, format="%.1f", label="per hour"
                        )
                        self._number.props("outlined dense").bind_value_from(self._slider).bind_value_to(self._slider)
                    ui.label(f"false alarms per hour; {least:.1f} to {most:.1f} were measured").classes("faint")
                    self._meaning = ui.label("").classes("faint").props('role="status"')
                    with ui.element("div").classes("buttons"):
                        ui.button("Ask for it", on_click=self._ask).props("outline rounded no-caps padding='4px 14px'")
                        ui.button("As in the settings", on_click=self._ask_nothing).props("flat rounded no-caps")
                    self._slider.on_value_change(self._explain)
                    self._explain()
                self._effect = ui.label("").mark("effect")

    # What the browser says

    def _acknowledged(self, number: int) -> None:
        self.desk.acknowledge(number)

    def _came(self, said: dict[str, str | None]) -> None:
        self._set_theme(said.get("theme") or "auto")

    def _next_theme(self) -> None:
        names = list(THEMES)
        self._set_theme(names[(names.index(self._theme) + 1) % len(names)])
        self.feed.keep_theme(self._theme)

    def _set_theme(self, theme: str) -> None:
        if theme in THEMES:
            self._theme = theme
            self._dark.set_value(THEMES[theme])
            self._theme_button.set_text(f"Theme: {theme}")

    def _look(self) -> None:
        camera, session = self._cameras.value, self._sessions.value
        if not camera or (camera == self.desk.camera and self._session_value() == session):
            return
        if camera != self.desk.camera:
            session = NOW if self._room.live else self.desk.newest_session(camera)
        self.desk.look(camera, None if session in (NOW, None) else session)
        self._choices()

    def _toggle_pause(self) -> None:
        if self._room.live and self.desk.session is None:
            self.desk.pause(not self.desk.paused)
            self._pause.set_text("Go on" if self.desk.paused else "Pause")

    async def _judge(self, said: object) -> None:
        event_id = str(said.get("id", ""))[:64] if isinstance(said, dict) else ""
        try:
            given = bounded(checked(said, Said))
            await self._room.judge(
                Judgement(
                    event_id=given.id,
                    verdict=given.verdict,
                    label=given.label.strip() or None,
                    note=given.note.strip(),
                    by=given.by.strip(),
                )
            )
        except StreamError as error:
            self.desk.refuse(event_id, f"Not kept: {error}")

    def _explain(self) -> None:
        try:
            threshold = choice(self._room.config).threshold(self._room.config, float(self._number.value))
            self._meaning.set_text(f"It means a threshold of {threshold:.2f}.")
        except (ConfigError, TypeError, ValueError) as error:
            self._meaning.set_text(str(error) if isinstance(error, ConfigError) else "Give a number.")

    async def _ask(self) -> None:
        try:
            per_hour = float(self._number.value)
            threshold = choice(self._room.config).threshold(self._room.config, per_hour)
            wish = Sensitivity(camera=self.desk.camera, threshold=threshold, false_alarms_per_hour=per_hour)
            await self._room.ask(wish)
        except (StreamError, TypeError, ValueError) as error:
            self._meaning.set_text(str(error) if isinstance(error, StreamError) else "Give a number.")

    async def _ask_nothing(self) -> None:
        try:
            await self._room.ask(Sensitivity(camera=self.desk.camera, threshold=None))
        except StreamError as error:
            self._meaning.set_text(str(error))

    # What is shown

    def tick(self) -> None:
        """Ten times a second, where the browser keeps up."""
        self.desk.tick()
        if self.desk.behind:
            return
        self._choices()
        self._show_link()

    def changed(self, event_ids: set[str]) -> None:
        """These events are new or different."""
        self.desk.changed(event_ids)

    def _session_value(self) -> str | None:
        return self.desk.session or (NOW if self._room.live else None)

    def _choices(self) -> None:
        room, desk = self._room, self.desk
        cameras = sorted({*room.cameras.now, *room.entries.cameras()})
        if cameras and (cameras != self._cameras.options or self._cameras.value != desk.camera):
            self._cameras.set_options(cameras, value=desk.camera or None)
        sessions = {NOW: "Live"} if room.live else {}
        found = [one for one in room.entries.sessions.values() if one.camera == desk.camera]
        for one in reversed(found[-MOST_SESSIONS:]):
            account = room.accounts.get((one.camera, one.session))
            name = account.source.rpartition("/")[2][:40] if account is not None and account.source else one.session[:8]
            day = "" if one.utc_ns is None else utc_words(one.utc_ns)[:16] + " · "
            sessions[one.session] = f"{day}{name}"
        value = self._session_value()
        if value is not None and (sessions != self._sessions.options or self._sessions.value != value):
            self._sessions.set_options(sessions, value=value if value in sessions else None)

    def _show_link(self) -> None:
        room = self._room
        if room.trouble:
            words, state = room.trouble, "gone"
        elif not room.live:
            words, state = ("a replay" if room.source.kept else "a journal"), "held"
        elif not room.cameras.now:
            words, state = "waiting for the worker", "gone"
        elif self.desk.session is not None:
            words, state = "an earlier session", "held"
        elif self.desk.paused:
            words, state = "paused", "held"
        else:
            words, state = room.link(self.desk.camera)
        if self._link.text != words:
            self._link.set_text(words)
            self._link.props(f"data-link={state}")

    def _show_health(self, said: Health) -> None:
        for key, _ in NAMES:
            self._values[key].set_text(getattr(said, key))
        self._source.set_text(said.source)
        if said.warnings != self._warned:
            self._warned = said.warnings
            self._warnings.clear()
            with self._warnings:
                for words in said.warnings:
                    ui.label(words).classes("warning")
        now, wish = self._room.cameras.now.get(self.desk.camera), self._room.asked.get(self.desk.camera)
        if now is not None and now.status is not None and now.status.threshold:
            effect = f"In effect: threshold {now.status.threshold:.2f}"
            if wish is not None and wish.threshold is not None:
                rate = "" if wish.false_alarms_per_hour is None else f" for {wish.false_alarms_per_hour:.1f} an hour"
                effect += f". Asked: {wish.threshold:.2f}{rate}"
            self._effect.set_text(effect + ".")


def _title(words: str) -> None:
    with ui.element("h2"):
        ui.label(words).style("display: inline")
