// The whole length at a glance, with a slider over it: drag, click, or go frame by frame with the arrow keys.
const EVERY_MS = 70;

export default {
  template: `<div class="timeline" v-show="shown">
    <div class="track">
      <canvas ref="canvas" aria-hidden="true"></canvas>
      <input ref="slider" type="range" min="0" :max="to" step="1" v-model.number="at" aria-label="Moment"
        :aria-valuetext="label" @input="seek" @keydown="key">
    </div>
    <p class="legend"><b class="n">{{ label }}</b><span class="faint">{{ hint }}</span></p>
  </div>`,
  data: () => ({ shown: false, to: 1, at: 0, label: "", hint: "" }),
  created() { this.plan = null; },
  mounted() {
    this.onPacket = (event) => this.take(event.detail);
    addEventListener("bowam", this.onPacket);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.$refs.canvas);
    this.looks = new MutationObserver(() => this.draw());
    this.looks.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  },
  beforeUnmount() {
    removeEventListener("bowam", this.onPacket);
    this.sizes.disconnect();
    this.looks.disconnect();
    clearTimeout(this.timer);
  },
  methods: {
    take(packet) {
      if (packet.reset) this.shown = false;
      if (packet.timeline) {
        this.plan = packet.timeline;
        this.shown = this.plan.to > 0;
        this.to = Math.max(1, this.plan.to);
        this.at = Math.min(this.at, this.to);
        this.label = "";
        this.hint = this.plan.frames ? "drag, or arrow keys frame by frame" : "drag, or arrow keys event by event";
        this.$nextTick(() => this.draw());
      }
      if (packet.paused === true && this.plan) { this.at = this.to; this.draw(); }
      if (packet.moment) {
        this.label = packet.moment.label;
        if (!this.timer) this.at = packet.moment.t;
        this.draw();
      }
    },
    seek() {
      this.draw();
      if (this.timer) return;
      this.$emit("seek", this.at);
      this.sought = this.at;
      this.timer = setTimeout(() => { this.timer = null; if (this.sought !== this.at) this.seek(); }, EVERY_MS);
    },
    key(event) {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (!steps || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.$emit("step", event.shiftKey ? steps * 10 : steps);
    },
    draw() {
      const canvas = this.$refs.canvas, scale = Math.min(devicePixelRatio || 1, 2), plan = this.plan;
      if (!plan || !canvas || !canvas.clientWidth) return;
      const wide = canvas.clientWidth, high = canvas.clientHeight, pen = canvas.getContext("2d");
      canvas.width = Math.round(wide * scale);
      canvas.height = Math.round(high * scale);
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      const style = getComputedStyle(this.$el), colour = (name) => style.getPropertyValue("--" + name).trim();
      const x = (ms) => ms / this.to * (wide - 2) + 1, lane = 14, floor = high - lane - 4;
      if (plan.overview) {
        const top = Math.max(8, ...plan.overview.s.map((value) => value || 0));
        pen.fillStyle = colour("signal");
        pen.globalAlpha = 0.55;
        plan.overview.s.forEach((value, i) => {
          const tall = (value || 0) / top * (floor - 2);
          pen.fillRect(x(plan.overview.t[i]), floor - tall, Math.max(1, wide / plan.overview.s.length), tall);
        });
        pen.globalAlpha = 1;
      }
      for (const [ms, name] of plan.marks) {
        pen.fillStyle = colour(name === "open" ? "state-told" : name);
        pen.fillRect(x(ms) - 1.5, name === "refused" ? high - 5 : high - lane, 3, name === "refused" ? 5 : lane);
      }
      pen.fillStyle = colour("ink");
      pen.fillRect(x(this.at) - 1, 0, 2, high);
    },
  },
};
