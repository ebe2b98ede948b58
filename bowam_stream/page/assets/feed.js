// Takes packets from the page's process, hands their parts to the other elements, and says which it has taken.
export default {
  template: `<div class="unseen" aria-live="polite" data-feed>{{ said }}</div>`,
  data: () => ({ said: "" }),
  mounted() {
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    let theme = null;
    try { theme = localStorage.getItem("bowam.theme"); } catch { /* storage may be forbidden */ }
    this.$emit("came", { theme });
  },
  methods: {
    take(packet) {
      try {
        for (const card of packet.cards || []) {
          if (packet.order && packet.order[0] === card.id && card.phase !== "provisional") this.said = `${card.title}, ${card.when}`;
        }
        dispatchEvent(new CustomEvent("bowam", { detail: packet }));
      } finally {
        this.$emit("ack", packet.n);
      }
    },
    keep(theme) {
      try { localStorage.setItem("bowam.theme", theme); } catch { /* nor is it needed */ }
    },
  },
};
