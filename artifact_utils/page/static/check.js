// Pictures that are dropped, pasted or picked: what the detector says of each, as it comes.
import { address, ask, count, make, percent } from "./requests.js";
import { Viewer } from "./viewer.js";

const KEPT = "artifact-visitor";
const PICTURES = ".png,.jpg,.jpeg,.jfif,.webp,.bmp,.zip";

class CheckView extends HTMLElement {
  connectedCallback() {
    if (this.begun) return;
    this.begun = true;
    this.results = [];
    this.waiting = []; // files that are not sent yet
    this.sending = 0;
    this.unseen = false;
    this.expected = 0; // pictures, sent or not
    this.drawn = new Map(); // cards by token
    this.refused = [];
    this.input = make("input", {
      type: "file", id: "pick", multiple: true, accept: PICTURES,
      onchange: () => { this.send([...this.input.files]); this.input.value = ""; },
    });
    this.says = make("p", { class: "say", role: "status" });
    this.errors = make("ul", { class: "say bad", role: "alert" });
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "pictures checked", hidden: true });
    this.cards = make("ul", { class: "cards" });
    this.examples = make("div", { class: "examples" });
    this.order = make("select", { class: "number", "aria-label": "order", onchange: () => this.draw() },
      make("option", { value: "came" }, "as they came"), make("option", { value: "worst" }, "worst first"));
    this.tools = make("div", { class: "row", hidden: true },
      make("label", {}, "Order ", this.order),
      make("button", { class: "act", type: "button", onclick: () => this.clear() }, "Clear"));
    this.drop = make("div", { class: "drop" },
      this.input, make("label", { for: "pick" }, "Choose portraits"),
      " or drop them here, or paste one. A zip will do, too.",
      make("p", { class: "soft" }, "Up to 500 at once. They stay on this server until you close the page, and nobody else sees them."));
    this.append(this.drop, this.examples, this.bar, this.says, this.errors, this.tools, this.cards);
    this.viewer = new Viewer(this, { step: (by) => this.step(by) });
    // Anywhere on the page: a browser opens what is dropped beside, and the page would be gone.
    for (const name of ["dragenter", "dragover"]) {
      document.addEventListener(name, (event) => { event.preventDefault(); this.drop.classList.add("over"); });
    }
    for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => this.drop.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      if (this.offsetParent) this.take(event.dataTransfer);
    });
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length && this.offsetParent) this.send(files);
    });
    window.addEventListener("pagehide", () => {
      if (this.visitor) navigator.sendBeacon(address("check/leave"), this.visitor);
    });
    this.ready = this.begin();
    setInterval(() => this.look().catch(() => {}), 30000); // so that the server knows that somebody is here
  }

  async begin() {
    try {
      const said = await ask("check/begin", { method: "POST" });
      this.threshold = said.threshold;
      this.examples.replaceChildren(...(said.examples.length ? ["Or try one of these: "] : []), ...said.examples.map((name, i) =>
        make("button", { type: "button", "aria-label": `example ${i + 1}`, onclick: () => this.example(i) },
          make("img", { src: address(`check/examples/${i}`), alt: "" }))));
      const before = sessionStorage.getItem(KEPT);
      this.visitor = before ?? said.visitor;
      if (before) {
        try {
          await this.look();
          return;
        } catch { this.visitor = said.visitor; }
      }
      sessionStorage.setItem(KEPT, this.visitor);
    } catch (error) { this.fail(error.message); }
  }

  headers() { return { "X-Visitor": this.visitor }; }

  fail(text) {
    this.refused.push(text);
    this.errors.replaceChildren(...this.refused.slice(-6).map((line) => make("li", {}, line)));
  }

  take({ items, files }) {
    const folders = [...items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory).map((entry) => entry.name);
    this.send([...files].filter((file) => !folders.includes(file.name)));
    for (const name of folders) this.fail(`${name} is a folder: choose the pictures in it, or a zip of it`);
  }

  send(files) {
    this.refused = [];
    this.errors.replaceChildren();
    this.waiting.push(...files);
    this.expected += files.length;
    this.tell();
    if (!this.sending && this.waiting.length) this.sendNext();  // one after the other: the order stays
  }

  async sendNext() {
    this.sending += 1;
    await this.ready;
    while (this.waiting.length) {
      const file = this.waiting.shift();
      try {
        const { taken } = await ask("check/pictures", { query: { name: file.name || "pasted.png" }, body: file, headers: this.headers(), method: "POST" });
        this.expected += taken - 1;
      } catch (error) {
        this.expected -= 1;
        this.fail(file.size ? error.message : `${file.name} is empty, or a folder: choose pictures`);
        if (error.status === 410 && error.message.startsWith("your pictures were removed")) await this.again();
      }
      this.unseen = true; // whatever an answer that is on its way says
      this.follow();
    }
    this.sending -= 1;
  }

  async again() {
    this.visitor = (await ask("check/begin", { method: "POST" })).visitor;
    sessionStorage.setItem(KEPT, this.visitor);
    this.results = [];
    this.draw();
  }

  async example(i) {
    try {
      await ask(`check/examples/${i}`, { method: "POST", headers: this.headers() });
      this.unseen = true;
    } catch (error) { this.fail(error.message); }
    this.follow();
  }

  async follow() {
    if (this.following) return;
    this.following = true;
    try {
      do {
        await this.look();
        await new Promise((done) => setTimeout(done, 350));
      } while (this.sending || this.unseen || this.results.length < this.total);
    } catch (error) { this.fail(error.message); }
    this.following = false;
  }

  async look() {
    if (!this.visitor) return;
    const since = this.results.length;
    this.unseen = false;
    const said = await ask("check/results", { query: { since }, headers: this.headers() });
    this.total = said.total;
    this.queued = said.queued;
    this.threshold = said.threshold;
    if (this.results.length === since) this.results.push(...said.results);
    if (said.results.length) this.draw();
    this.tell();
    if (this.results.length < this.total) this.follow();
  }

  tell() {
    if (!this.sending && !this.waiting.length && !this.unseen) this.expected = this.total ?? 0;
    const total = Math.max(this.expected, this.total ?? 0);
    const done = this.results.length;
    this.bar.hidden = done >= total;
    this.bar.max = Math.max(total, 1);
    this.bar.value = done;
    const flagged = this.results.filter((r) => r.verdict === "artifact").length;
    const ahead = (this.queued ?? 0) - ((this.total ?? 0) - done);
    if (!total) this.says.textContent = "";
    else if (done < total) {
      this.says.textContent = `${done} of ${count(total, "picture")} checked …` + (ahead > 8 ? ` ${count(ahead, "picture")} of others are first` : "");
    } else {
      this.says.textContent = `${count(total, "picture")} checked: ${flagged} with an artifact (probability ${this.threshold.toFixed(2)} and above)`;
    }
  }

  get shown() {
    if (this.order.value === "came") return this.results;
    return [...this.results].sort((a, b) => (b.probability ?? -1) - (a.probability ?? -1));
  }

  draw() {
    this.tools.hidden = !this.results.length;
    const cards = this.shown.map((said) => {
      if (!this.drawn.has(said.token)) this.drawn.set(said.token, this.card(said));
      return this.drawn.get(said.token);
    });
    cards.forEach((card, i) => { if (this.cards.children[i] !== card) this.cards.insertBefore(card, this.cards.children[i] ?? null); });
    while (this.cards.children.length > cards.length) this.cards.lastChild.remove();
  }

  card(said) {
    const kind = ["artifact", "clean"].includes(said.verdict) ? said.verdict : "other";
    const family = said.verdict === "artifact" && said.family ? `, ${said.family}` : "";
    const picture = said.verdict === "unreadable" ? make("div", { class: "none" }, "no picture")
      : make("img", { src: address(`check/picture/${said.token}`, { size: "small" }), alt: "", loading: "lazy" });
    return make("li", {}, make("button", { class: "card", type: "button", onclick: () => this.open(said), title: said.name },
      picture,
      make("span", { class: "text" },
        make("span", { class: `verdict ${kind}` }, said.verdict), ` ${said.probability === undefined ? said.why : percent(said.probability) + family}`,
        make("div", { class: "unsure" }, said.unsure?.length ? "unsure" : ""),
        make("div", { class: "name" }, said.name))));
  }

  open(said) {
    if (said.verdict === "unreadable") return;
    this.current = said;
    this.viewer.show({
      name: said.name, picture: address(`check/picture/${said.token}`),
      map: said.probability === undefined ? null : (family) => address(`check/map/${said.token}`, { family }),
      verdict: said.probability === undefined ? said.verdict : `${said.verdict}, ${percent(said.probability)}`,
      kind: ["artifact", "clean"].includes(said.verdict) ? said.verdict : "other",
      note: said.why ?? (said.verdict === "artifact" && said.family ? `of ${said.family}` : ""),
      families: said.families, unsure: said.unsure,
    });
  }

  step(by) {
    const shown = this.shown.filter((said) => said.verdict !== "unreadable");
    const next = shown[shown.indexOf(this.current) + by];
    if (next) this.open(next);
  }

  async clear() {
    this.waiting = [];
    try {
      this.visitor = (await ask("check/clear", { method: "POST", headers: this.headers() })).visitor;
      sessionStorage.setItem(KEPT, this.visitor);
    } catch (error) { this.fail(error.message); }
    this.results = [];
    this.drawn.clear();
    this.total = this.expected = 0;
    this.refused = [];
    this.errors.replaceChildren();
    this.draw();
    this.tell();
  }
}

customElements.define("check-view", CheckView);
