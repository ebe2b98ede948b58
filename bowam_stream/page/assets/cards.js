// The events, newest first, each with what was said of it; and the keys that judge them.
const VERDICTS = [["true", "True", "t"], ["false", "False", "f"], ["unsure", "Unsure", "u"]];

export default {
  template: `<div class="events">
    <div class="tools">
      <p class="count" role="status">{{ counted }}</p>
      <button v-if="count.new" type="button" class="new" @click="$emit('pause')">{{ count.new }} new</button>
      <label class="by">Judged by <input v-model.trim="by" maxlength="64" autocomplete="nickname" placeholder="your name" @change="remember" @keydown.enter.prevent="$event.target.blur()"></label>
      <button type="button" @click="$refs.help.showModal()" aria-label="Keys">?</button>
    </div>
    <p v-if="trouble" class="trouble" role="alert">{{ trouble }}</p>
    <p v-if="!order.length" class="faint empty">{{ count.reading ? "Reading the journal…" : "No events yet." }}</p>
    <article v-for="card in list" :key="card.id" :id="'event-' + card.id" class="card" tabindex="-1"
        :class="[card.phase, { current: card.id === current }]" :style="{ '--tone': 'var(--' + card.style + ')' }"
        :data-event="card.id" :data-phase="card.phase" :aria-label="card.title + ', ' + card.when" @click="choose(card.id); $emit('moment', card.id)" @focusin="choose(card.id)">
      <header>
        <h3><span class="pill">{{ card.title }}<b v-if="card.confidence"> {{ card.confidence }}</b></span></h3>
        <p class="t"><time>{{ card.when }}</time><span v-if="card.utc"> UTC</span><span v-if="card.duration"> · {{ card.duration }}</span><span v-if="card.date" class="faint"> · {{ card.date }}</span></p>
        <p class="note">{{ card.note }}</p>
      </header>
      <div v-if="card.pictures" class="pictures">
        <template v-if="card.pictures.faces"><figure v-for="name in ['onset', 'apex', 'offset']" :key="name"><img :src="picture(card, name)" :alt="'Face at the ' + name" width="240" height="240" loading="lazy"><figcaption>{{ name }}</figcaption></figure></template>
        <figure><div class="flow"><img :src="picture(card, 'flow')" alt="Optical flow between the three frames" width="240" height="240" loading="lazy"><img :src="picture(card, 'arrows')" alt="" width="240" height="240" loading="lazy"></div><figcaption>{{ card.pictures.flow }}</figcaption></figure>
        <figure><img :src="picture(card, 'strain')" alt="Optical strain" width="240" height="240" loading="lazy"><figcaption>{{ card.pictures.strain }}</figcaption></figure>
      </div>
      <div class="details">
        <dl v-if="card.bars.length" class="bars"><div v-for="[label, share, style] in card.bars" :key="label"><dt>{{ label }}</dt><dd><i :style="{ width: share + '%', background: 'var(--' + style + ')' }"></i><span>{{ Math.round(share) }}%</span></dd></div></dl>
        <dl class="facts"><div v-for="[name, time] in card.times" :key="name"><dt>{{ name }}</dt><dd>{{ time }}</dd></div></dl>
        <dl class="facts"><div v-for="[name, value] in card.facts" :key="name"><dt>{{ name }}</dt><dd>{{ value }}</dd></div></dl>
      </div>
      <ul v-if="card.mind.length" class="mind"><li v-for="line in card.mind">{{ line }}</li></ul>
      <div class="judge" role="group" aria-label="Your judgement">
        <button v-for="[verdict, words, key] in verdicts" :key="verdict" type="button" :data-verdict="verdict" :title="'key ' + key"
          :aria-pressed="!!card.judged && card.judged.verdict === verdict" @click.stop="judge(card, verdict)">{{ words }}</button>
        <template v-if="card.id === current || drafted(card.id)">
          <label>Label <input list="bowam-labels" class="label" maxlength="64" v-model="draft(card).label" :placeholder="card.phase === 'final' ? card.title : 'another label'" @keydown.enter.prevent="save(card)"></label>
          <label class="wide">Note <input class="notes" maxlength="2000" v-model="draft(card).note" @keydown.enter.prevent="save(card)"></label>
          <button type="button" class="save" @click.stop="save(card)">Keep</button>
        </template>
      </div>
      <p v-if="card.judged" class="judged" :data-verdict="card.judged.verdict">Judged <b>{{ card.judged.verdict }}</b><span v-if="card.judged.label">, label <b>{{ card.judged.label }}</b></span><span v-if="card.judged.note">: {{ card.judged.note }}</span> <span class="faint">{{ card.judged.by || "somebody" }}, {{ card.judged.at.slice(0, 19) }} UTC</span></p>
      <p v-if="failed[card.id]" class="trouble" role="alert">{{ failed[card.id] }}</p>
    </article>
    <nav v-if="count.all > count.shown" class="turn" aria-label="More events">
      <button type="button" :disabled="count.top === 0" @click="$emit('turn', -1)">Newer</button>
      <span class="n faint">{{ count.top + 1 }} – {{ count.top + order.length }} of {{ count.all.toLocaleString("en") }}</span>
      <button type="button" :disabled="count.top + order.length >= count.all" @click="$emit('turn', 1)">Older</button>
    </nav>
    <datalist id="bowam-labels"><option v-for="label in labels" :value="label"></option></datalist>
    <dialog ref="help" aria-labelledby="help-title" @click.self="$refs.help.close()">
      <h2 id="help-title">Keys</h2>
      <dl class="keys"><div><dt>j, k</dt><dd>next and previous event</dd></div><div><dt>t, f, u</dt><dd>judge it true, false, unsure</dd></div><div><dt>l, n</dt><dd>give another label, write a note; Enter keeps it, once it is judged</dd></div><div><dt>Esc</dt><dd>leave the field</dd></div><div><dt>space</dt><dd>pause the view, and go on</dd></div><div><dt>g</dt><dd>go back to the moment of the event</dd></div><div><dt>← →</dt><dd>on the time line: frame by frame (with shift: ten)</dd></div><div><dt>?</dt><dd>this list</dd></div></dl>
      <form method="dialog"><button autofocus>Close</button></form>
    </dialog>
  </div>`,
  props: { labels: Array },
  data: () => ({ cards: {}, order: [], count: { all: 0, top: 0, shown: 0, new: 0, reading: 1, left_out: 0 }, current: null, drafts: {}, failed: {}, trouble: "", by: "", verdicts: VERDICTS }),
  computed: {
    list() { return this.order.map((id) => this.cards[id]).filter(Boolean); },
    counted() {
      const n = this.count.all.toLocaleString("en");
      return `${n} event${this.count.all === 1 ? "" : "s"}` + (this.count.left_out ? `; ${this.count.left_out.toLocaleString("en")} older ones are in the journal only` : "");
    },
  },
  mounted() {
    try { this.by = localStorage.getItem("bowam.by") || ""; } catch { /* storage may be forbidden */ }
    this.onPacket = (event) => this.take(event.detail);
    this.onKey = (event) => this.key(event);
    addEventListener("bowam", this.onPacket);
    document.addEventListener("keydown", this.onKey);
  },
  beforeUnmount() {
    removeEventListener("bowam", this.onPacket);
    document.removeEventListener("keydown", this.onKey);
  },
  methods: {
    take(packet) {
      for (const card of packet.cards || []) {
        const before = this.cards[card.id];
        if (before && card.judged && (!before.judged || before.judged.at !== card.judged.at)) {
          const draft = this.drafts[card.id];
          if (draft && draft.label === card.judged.label && draft.note === card.judged.note) delete this.drafts[card.id];
          delete this.failed[card.id];
        }
        this.cards[card.id] = card;
        if (before && before.phase !== card.phase) this.$nextTick(() => this.flash(card.id));
      }
      if (packet.order) {
        this.order = packet.order;
        const shown = new Set(packet.order);
        for (const id of Object.keys(this.cards)) if (!shown.has(id)) delete this.cards[id];
        for (const id of Object.keys(this.drafts)) if (!shown.has(id) && !this.drafted(id)) delete this.drafts[id];
        if (this.turned && this.order.length) { this.turned = false; this.look(this.order[0]); }
      }
      if (packet.count) this.count = packet.count;
      if (packet.trouble !== undefined) this.trouble = packet.trouble;
      for (const [id, words] of packet.failed || []) this.failed[id] = words;
      if (packet.current) this.choose(packet.current);
    },
    flash(id) {
      const card = document.getElementById("event-" + id);
      if (card && card.animate && !matchMedia("(prefers-reduced-motion: reduce)").matches)
        card.animate([{ backgroundColor: "color-mix(in srgb, var(--tone) 35%, transparent)" }, { backgroundColor: "transparent" }], { duration: 1600 });
    },
    picture(card, name) { return "pictures/" + encodeURIComponent(card.id) + "/" + name; },
    choose(id, focus) {
      this.current = id;
      if (focus) this.$nextTick(() => { const card = document.getElementById("event-" + id); if (card) card.focus(); });
    },
    look(id) { this.choose(id, true); this.$emit("moment", id); },
    drafted(id) { const draft = this.drafts[id]; return !!draft && draft.touched !== draft.label + "\n" + draft.note; },
    draft(card) {
      if (!this.drafts[card.id]) {
        const label = card.judged ? card.judged.label : "", note = card.judged ? card.judged.note : "";
        this.drafts[card.id] = { label, note, touched: label + "\n" + note };
      }
      return this.drafts[card.id];
    },
    judge(card, verdict) {
      const { label, note } = this.draft(card);
      this.choose(card.id);
      delete this.failed[card.id];
      this.$emit("judge", { id: card.id, verdict, label, note, by: this.by });
    },
    save(card) {
      if (card.judged) this.judge(card, card.judged.verdict);
      else this.failed[card.id] = "Say true, false or unsure as well: a label or a note alone is no judgement.";
    },
    remember() { try { localStorage.setItem("bowam.by", this.by); } catch { /* nor is it needed */ } },
    move(by) {
      const here = this.order.indexOf(this.current), next = here < 0 ? 0 : here + by;
      if (next >= this.order.length && this.count.top + this.order.length < this.count.all) { this.turned = true; this.$emit("turn", 1); }
      else if (this.order.length) this.look(this.order[Math.max(0, Math.min(next, this.order.length - 1))]);
    },
    key(event) {
      const at = event.target, card = this.cards[this.current];
      if (event.ctrlKey || event.altKey || event.metaKey || this.$refs.help.open) return;
      if (event.key === "Escape" && at.blur && this.$el.contains(at)) { at.blur(); return; }
      if (at.closest("input, textarea, select, [contenteditable], [role=slider], [role=combobox], [role=listbox], .q-menu")) return;
      if (event.key === " " && at.closest("button, a, summary, [role=button]")) return;
      const inside = this.$el.contains(at);
      const act = {
        j: () => this.move(1), k: () => this.move(-1),
        ArrowDown: inside && (() => this.move(1)), ArrowUp: inside && (() => this.move(-1)),
        t: card && (() => this.judge(card, "true")), f: card && (() => this.judge(card, "false")), u: card && (() => this.judge(card, "unsure")),
        l: card && (() => this.field("label")), n: card && (() => this.field("notes")), g: card && (() => this.$emit("moment", card.id)),
        "?": () => this.$refs.help.showModal(), " ": () => this.$emit("pause"),
      }[event.key];
      if (act) { event.preventDefault(); act(); }
    },
    field(name) {
      const field = document.querySelector(`#event-${CSS.escape(this.current)} .${name}`);
      if (field) { field.focus(); field.select(); }
    },
  },
};
