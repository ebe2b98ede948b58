// The motion signal and its threshold: scrolling while a camera is watched, still around a moment that is looked at.
const SPAN_MS = 20000, KEPT_MS = 40000, DELAY_MS = 150, STEP_MS = 30, STATES = ["", "rest", "open", "told", "slow"];

export default {
  template: `<div class="signal" v-show="known">
    <canvas ref="canvas" role="img" :aria-label="'Motion signal, ' + words"></canvas>
    <p class="legend"><span class="state" :data-state="state"><i></i>{{ words }}</span>
      <span class="key line">motion {{ value }}</span><span class="key dashed">threshold {{ limit }}</span>
      <span class="faint">in units of this face's noise</span></p>
  </div>`,
  data: () => ({ known: true, state: "", words: "nothing seen yet", value: "", limit: "" }),
  created() {
    this.forget();
    this.bands = [];
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
  },
  mounted() {
    this.onPacket = (event) => this.take(event.detail);
    addEventListener("bowam", this.onPacket);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.$refs.canvas);
    this.looks = new MutationObserver(() => { this.colours = null; this.fresh = true; });
    this.looks.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    const frame = (now) => { this.frame(now); this.wanted = requestAnimationFrame(frame); };
    this.wanted = requestAnimationFrame(frame);
  },
  beforeUnmount() {
    removeEventListener("bowam", this.onPacket);
    this.sizes.disconnect();
    this.looks.disconnect();
    cancelAnimationFrame(this.wanted);
  },
  methods: {
    forget() {
      this.rows = { t: [], s: [], h: [], z: [] };
      this.clock = null;
      this.moment = null;
      this.utc = null;
      this.top = 8;
      this.fresh = true;
    },
    take(packet) {
      if (packet.reset) this.forget();
      if (packet.paused !== undefined) { this.held = packet.paused; this.fresh = true; }
      if (packet.utc !== undefined) this.utc = packet.utc;
      if (packet.timeline && packet.timeline.utc !== undefined) this.utc = packet.timeline.utc;
      if (packet.timeline) this.known = packet.timeline.frames !== false;
      if (packet.signal) this.known = true;
      if (packet.signal) this.add(packet.signal);
      if (packet.cards) this.mark(packet.cards);
      if (packet.moment) this.look(packet.moment);
      if (packet.words !== undefined) { this.state = packet.state; this.words = packet.words; }
    },
    add(more) {
      const rows = this.rows;
      for (const name of ["t", "s", "h", "z"]) for (const one of more[name]) rows[name].push(one);
      const last = rows.t[rows.t.length - 1];
      let old = 0;
      while (rows.t[old] < last - KEPT_MS) old++;
      if (old > 500 || rows.t.length > 20000) for (const name of ["t", "s", "h", "z"]) rows[name].splice(0, old);
      const offset = last - performance.now();
      this.clock = this.clock === null || Math.abs(offset - this.clock) > 1500 ? offset : this.clock + 0.1 * (offset - this.clock);
      this.tell(rows.t.length - 1);
      this.fresh = true;
    },
    look(moment) {
      this.moment = moment.t;
      if (moment.signal) this.rows = moment.signal;
      if (moment.words !== undefined) { this.state = moment.state; this.words = moment.words; }
      let here = this.rows.t.findIndex((t) => t >= moment.t);
      this.tell(here < 0 ? this.rows.t.length - 1 : here);
      this.fresh = true;
    },
    tell(row) {
      const value = this.rows.s[row], limit = this.rows.h[row];
      this.value = value == null ? "–" : value.toFixed(1);
      this.limit = limit == null ? "–" : limit.toFixed(1);
    },
    mark(cards) {
      for (const card of cards) {
        this.bands = this.bands.filter((band) => band.id !== card.id);
        this.bands.push({ id: card.id, span: card.span, style: card.style });
      }
      this.bands = this.bands.slice(-60);
      this.fresh = true;
    },
    resize() {
      const canvas = this.$refs.canvas, scale = Math.min(devicePixelRatio || 1, 2);
      canvas.width = Math.round(canvas.clientWidth * scale);
      canvas.height = Math.round(canvas.clientHeight * scale);
      this.scale = scale;
      this.fresh = true;
    },
    frame(now) {
      const moving = this.clock !== null && this.moment === null && !this.held && !this.calm.matches;
      if (!this.fresh && !(moving && this.edge < this.rows.t[this.rows.t.length - 1])) return;
      if (now - (this.drawn || 0) < STEP_MS) return;
      this.drawn = now;
      this.fresh = false;
      this.draw(now);
    },
    colour(name) {
      if (!this.colours) this.colours = {};
      if (!this.colours[name]) this.colours[name] = getComputedStyle(this.$el).getPropertyValue("--" + name).trim() || "#888";
      return this.colours[name];
    },
    draw(now) {
      const canvas = this.$refs.canvas, pen = canvas.getContext("2d"), { t, s, h, z } = this.rows;
      const wide = canvas.width / this.scale, high = canvas.height / this.scale, foot = 26, left = 30;
      pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      pen.clearRect(0, 0, wide, high);
      const span = this.moment === null ? Math.min(SPAN_MS, wide * 22) : 10000;
      const last = t.length ? t[t.length - 1] : 0;
      this.edge = this.moment !== null ? this.moment + span / 2
        : this.clock === null ? last : Math.min(this.calm.matches || this.held ? last : now + this.clock - DELAY_MS, last);
      const from = this.edge - span, x = (ms) => left + (ms - from) / span * (wide - left);
      let first = 0;
      while (first < t.length && t[first] < from - 500) first++;
      let peak = 8;
      for (let i = first; i < t.length; i++) peak = Math.max(peak, (s[i] || 0) * 1.12, (h[i] || 0) * 1.5);
      this.top += (peak - this.top) * (this.moment === null && !this.calm.matches ? 0.2 : 1);
      const y = (value) => high - foot - 8 - Math.min(value, this.top * 1.05) / this.top * (high - foot - 16);
      pen.font = "12px system-ui, sans-serif";
      pen.lineWidth = 1;
      this.grid(pen, x, y, from, span, wide, high, foot, left);
      pen.save();
      pen.beginPath();
      pen.rect(left, 0, wide - left, high);
      pen.clip();
      for (const band of this.bands) {
        const a = x(band.span[0]), b = x(band.span[2]);
        if (b < left || a > wide) continue;
        pen.fillStyle = this.colour(band.style === "open" ? "state-told" : band.style);
        pen.globalAlpha = 0.22;
        pen.fillRect(a, 4, Math.max(2, b - a), high - foot - 12);
        pen.globalAlpha = 1;
        pen.fillRect(x(band.span[1]) - 0.75, 4, 1.5, high - foot - 12);
      }
      this.line(pen, t, h, first, x, y, "threshold", 1.4, [6, 4]);
      this.line(pen, t, s, first, x, y, "signal", 2, []);
      for (let i = Math.max(first, 1); i < t.length; i++) {
        if (!z[i]) continue;
        pen.fillStyle = this.colour("state-" + STATES[z[i]]);
        const a = x(Math.max(t[i - 1], t[i] - 200));
        pen.fillRect(a, high - foot - 5, x(t[i]) - a + 0.5, 5);
      }
      if (this.moment !== null) {
        pen.fillStyle = this.colour("ink");
        pen.fillRect(x(this.moment) - 0.75, 0, 1.5, high - foot);
      }
      pen.restore();
    },
    grid(pen, x, y, from, span, wide, high, foot, left) {
      const every = span / wide > 25 ? 5000 : 2000, step = this.top > 40 ? 20 : this.top > 16 ? 10 : 5;
      pen.strokeStyle = this.colour("line");
      pen.fillStyle = this.colour("faint");
      pen.textAlign = "right";
      pen.beginPath();
      for (let value = 0; value <= this.top; value += step) {
        pen.moveTo(left, Math.round(y(value)) + 0.5);
        pen.lineTo(wide, Math.round(y(value)) + 0.5);
        pen.fillText(String(value), left - 6, y(value) + 4);
      }
      pen.stroke();
      pen.textAlign = "center";
      const shift = this.utc === null ? 0 : this.utc % every;
      for (let ms = Math.ceil((from + shift) / every) * every - shift; ms < from + span; ms += every) {
        if (x(ms) > left + 26 && x(ms) < wide - 26) pen.fillText(this.clockwords(ms), x(ms), high - 8);
      }
    },
    line(pen, t, values, first, x, y, name, thick, dash) {
      pen.strokeStyle = this.colour(name);
      pen.lineWidth = thick;
      pen.lineJoin = "round";
      pen.setLineDash(dash);
      pen.beginPath();
      let open = false;
      for (let i = first; i < t.length; i++) {
        if (values[i] === null) { open = false; continue; }
        if (open && t[i] - t[i - 1] < 500) pen.lineTo(x(t[i]), y(values[i])); else pen.moveTo(x(t[i]), y(values[i]));
        open = true;
      }
      pen.stroke();
      pen.setLineDash([]);
    },
    clockwords(ms) {
      if (this.utc !== null) return new Date(this.utc + ms).toISOString().slice(11, 19);
      const seconds = Math.round(ms / 1000);
      return seconds < 0 ? "" : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    },
  },
};
