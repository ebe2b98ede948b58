// How strongly each region of the face moves; and, where preview was asked for, the face itself.
const FULL = 12;

export default {
  template: `<div class="face">
    <svg v-if="preview" viewBox="0 0 240 240" role="img" aria-label="Aligned face with its regions">
      <image v-if="crop" :href="crop" width="240" height="240"/>
      <polyline v-for="line in outlines" :points="line"/>
      <circle v-for="[name, x, y] in places" :key="name" :cx="x" :cy="y" :r="3 + 9 * share(name)" :opacity="0.25 + 0.6 * share(name)"><title>{{ words(name) }}</title></circle>
    </svg>
    <p v-else class="faint">{{ how }}</p>
    <dl v-if="regions.length" class="regions">
      <div v-for="[name, strength] in regions" :key="name" :data-side="side(name)"><dt>{{ words(name) }}</dt><dd><i :style="{ transform: 'scaleX(' + share(name) + ')' }"></i><span>{{ strength.toFixed(1) }}</span></dd></div>
    </dl>
    <p v-else class="faint">No face in view.</p>
  </div>`,
  props: { preview: Boolean, how: String },
  data: () => ({ crop: "", outlines: [], places: [], regions: [] }),
  mounted() {
    this.onPacket = (event) => this.take(event.detail);
    addEventListener("bowam", this.onPacket);
  },
  beforeUnmount() { removeEventListener("bowam", this.onPacket); },
  methods: {
    take(packet) {
      if (packet.reset) { this.crop = ""; this.show({ regions: [], outlines: [], places: [] }); }
      if (packet.crop !== undefined) this.crop = packet.crop;
      if (packet.face) this.show(packet.face);
      if (packet.moment) { this.crop = ""; if (packet.moment.face) this.show(packet.moment.face); }
    },
    show(face) {
      this.regions = face.regions;
      this.strengths = Object.fromEntries(face.regions);
      this.outlines = face.outlines.map((line) => line.map((point) => point.join(",")).join(" "));
      this.places = face.places;
    },
    share(name) { return Math.min(1, ((this.strengths || {})[name] || 0) / FULL); },
    words(name) { return name.replaceAll("_", " "); },
    side(name) { return name.endsWith("left") ? "left" : name.endsWith("right") ? "right" : ""; },
  },
};
