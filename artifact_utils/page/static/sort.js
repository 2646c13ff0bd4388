// The folder: pictures worst first, the threshold on a histogram, labels by keys.
import { address, ask, count, make, percent } from "./requests.js";
import { Viewer } from "./viewer.js";
import { Grid } from "./grid.js";
import { Histogram } from "./histogram.js";

const UNSCORED = "not scored yet";
const SHOWN = {
  all: ["all", () => true],
  flagged: ["flagged", (row, view) => row.p !== null && row.p >= view.threshold],
  clean: ["not flagged", (row, view) => row.p !== null && row.p < view.threshold],
  labelled: ["labelled by you", (row) => row.label !== null],
  turned: ["labelled against the verdict", (row, view) => row.label !== null && row.p !== null && row.label !== Number(row.p >= view.threshold)],
  odd: ["unreadable or too small", (row) => row.p === null && row.reason !== UNSCORED],
};

class SortView extends HTMLElement {
  async connectedCallback() {
    if (this.begun) return;
    this.begun = true;
    this.rows = new Map();
    this.version = 0;
    this.list = [];
    this.lastSent = Promise.resolve();
    this.busy = make("progress", { max: 1, value: 0, "aria-label": "pictures scored", hidden: true });
    this.says = make("p", { class: "say", role: "status" });
    this.counts = make("p", { class: "say counts", role: "status" });
    this.agree = make("p", { class: "say soft" });
    this.modelSays = make("span", { class: "soft model" });
    this.failed = make("p", { class: "say bad", role: "alert" });
    this.toggle = make("button", { class: "act", type: "button", onclick: () => this.startOrStop() }, "Stop");
    this.number = make("input", {
      type: "number", class: "number", min: 0, max: 1, step: 0.001, "aria-label": "threshold, probability",
      onchange: () => this.setThreshold(Number(this.number.value)),
    });
    this.histogram = new Histogram((threshold) => this.setThreshold(threshold));
    this.shown = make("select", { class: "number", onchange: () => this.redraw(true) },
      ...Object.entries(SHOWN).map(([value, [text]]) => make("option", { value }, text)));
    this.family = make("select", { class: "number", onchange: () => this.redraw(true) });
    this.familyBox = make("label", { hidden: true }, "Family ", this.family);
    this.families = make("fieldset", { class: "families", hidden: true });
    this.grid = new Grid({ tile: (row, index) => this.fill(row, index), open: (i) => this.open(i), moved: () => {} });
    this.table = make("a", { class: "act", download: "scores.csv" }, "Table (.csv)");
    this.zip = make("a", { class: "act", download: "clean.zip" }, "Clean ones (.zip)");
    const button = (text, action) => make("button", { class: "act", type: "button", onclick: action }, text);
    this.away = button("Move flagged away", () => this.move());
    this.back = button("Bring back", () => this.change("sort/back"));
    this.export = button("Export labels", () => this.change("sort/export"));
    this.append(
      make("div", { class: "row" }, make("div", { class: "grow" }, this.busy, this.says), this.toggle), this.failed,
      this.histogram.element,
      make("div", { class: "row" }, make("label", {}, "Threshold ", this.number), make("label", {}, "Show ", this.shown), this.familyBox, this.families, this.modelSays),
      this.counts, this.agree, this.grid.element,
      make("p", { class: "soft keys" }, ...[["←", " "], ["→", " "], ["↑", " "], ["↓", " move, "], ["a", " artifact, "], ["c", " clean, "],
        ["space", " large, "], ["u", " undo"]].flatMap(([key, text]) => [make("kbd", {}, key), text])),
      make("div", { class: "row" }, button("Artifact (a)", () => this.label(1)), button("Clean (c)", () => this.label(0)), button("Undo (u)", () => this.undo())),
      make("div", { class: "row" }, this.away, this.back, this.table, this.zip, this.export));
    this.viewer = new Viewer(this, {
      buttons: [["Artifact (a)", () => this.label(1)], ["Clean (c)", () => this.label(0)], ["Undo (u)", () => this.undo()]],
      step: (by) => this.open(this.grid.here + by), keys: (event) => this.key(event),
    });
    this.grid.element.addEventListener("keydown", (event) => { if (this.key(event)) event.preventDefault(); });
    document.addEventListener("keydown", (event) => {
      const elsewhere = event.target.closest?.("input, select, textarea, button, a, dialog, [role=tab], .grid");
      if (!elsewhere && this.offsetParent && !this.viewer.isOpen && this.key(event)) event.preventDefault();
    });
    try {
      this.about = await ask("sort/about");
    } catch (error) { this.failed.textContent = error.message; return; }
    this.begin();
    this.follow();
  }

  begin() {
    this.threshold = this.about.threshold;
    this.target = this.about.target;
    this.modelSays.textContent = `Model: ${this.about.model}`;
    this.drawFamilies();
    this.setThreshold(this.threshold);
  }

  drawFamilies() {
    const { families, counted } = this.about;
    this.familyBox.hidden = this.families.hidden = !families.length;
    this.family.replaceChildren(make("option", { value: "" }, "any"), ...families.map((name) => make("option", {}, name)));
    this.families.replaceChildren(make("legend", {}, "Counts:"), ...families.map((name) => make("label", {},
      make("input", { type: "checkbox", value: name, checked: counted.includes(name), onchange: () => this.count() }), ` ${name}`)));
  }

  get only() { return [...this.families.querySelectorAll(":checked")].map((box) => box.value); }

  async count() {
    if (!this.only.length) {
      this.failed.textContent = "choose one family at least";
      return;
    }
    this.failed.textContent = "";
    this.version = 0;
    await this.look();
  }

  async follow() {
    for (;;) {
      try {
        await this.look();
        if (this.lost) { this.failed.textContent = ""; this.lost = false; }
      } catch (error) { this.failed.textContent = error.message; this.lost = true; }
      const waits = this.progress?.running ? 700 : 3000;
      await new Promise((done) => setTimeout(done, document.hidden ? 10000 : waits));
    }
  }

  async look() {
    const only = this.only.join(",");
    const said = await ask("sort/rows", { query: { since: this.version, only } });
    if (only !== this.only.join(",")) return;
    if (this.model && said.model !== this.model) { // another one scores from now on, at a threshold of its own
      this.model = said.model;
      this.version = 0;
      this.about = await ask("sort/about");
      this.begin();
      await this.look();
      return;
    }
    this.model = said.model;
    const fresh = this.version === 0 || said.version < this.version || (said.id.length === said.count && said.count > 0);
    if (fresh) this.rows.clear();
    said.id.forEach((id, i) => this.rows.set(id, {
      id, name: said.name[i], p: said.probability[i], family: said.family[i], label: said.label[i], moved: said.moved[i], reason: said.reason[i],
    }));
    this.version = said.version;
    this.curve = said;
    this.progress = said.progress;
    this.tell();
    if (said.id.length) this.redraw(false);
  }

  tell() {
    const { done, total, running, seconds, error } = this.progress;
    this.busy.hidden = !running;
    this.busy.max = Math.max(total, 1);
    this.busy.value = done;
    this.toggle.textContent = running ? "Stop" : "Score what is new";
    if (error) this.failed.textContent = error;
    if (running) this.says.textContent = `${this.about.folder}: ${done.toLocaleString("en")} of ${count(total, "picture")} scored, ${Math.round(seconds)} s …`;
    else if (done < total) this.says.textContent = `${this.about.folder}: stopped at ${done.toLocaleString("en")} of ${count(total, "picture")}`;
    else this.says.textContent = `${this.about.folder}: ${count(this.rows.size, "picture")}`;
  }

  async startOrStop() {
    this.toggle.disabled = true;
    try {
      await ask(this.progress?.running ? "sort/stop" : "sort/start", { method: "POST" });
      await this.look();
    } catch (error) { this.failed.textContent = error.message; }
    this.toggle.disabled = false;
  }

  setThreshold(value) {
    if (!(value >= 0 && value <= 1)) return;
    this.threshold = value;
    this.number.value = value.toFixed(3);
    this.histogram.set(value);
    const query = { threshold: value, only: this.only.join(",") };
    this.table.href = address("sort/scores.csv", query);
    this.zip.href = address("sort/clean.zip", query);
    this.redraw(false);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.compare(), 300);
  }

  async compare() {
    if (![...this.rows.values()].some((row) => row.label !== null)) { this.agree.textContent = ""; return; }
    try {
      const [clean, artifacts] = await ask("sort/agreement", { query: { threshold: this.threshold, only: this.only.join(",") } });
      const share = ({ n, flagged, low, high }, word) => (n ? `${flagged} of the ${n} that you call ${word} are flagged (95%: ${percent(low)} to ${percent(high)})` : "");
      this.agree.textContent = [share(clean, "clean"), share(artifacts, "artifact")].filter(Boolean).join("; ");
    } catch { this.agree.textContent = ""; }
  }

  redraw(toTop) {
    const here = this.list[this.grid.here]?.id;
    const wanted = SHOWN[this.shown.value][1];
    const all = [...this.rows.values()].filter((row) => !row.moved);
    this.list = all.filter((row) => wanted(row, this) && (!this.family.value || row.family === this.family.value));
    this.list.sort((a, b) => (b.p ?? -1) - (a.p ?? -1) || a.id - b.id);
    this.histogram.draw(all);
    this.grid.show(this.list, toTop ? 0 : Math.max(0, this.list.findIndex((row) => row.id === here)), toTop);
    const at = Math.ceil(this.threshold * 1000 - 1e-9);
    const flagged = all.filter((row) => row.p !== null && row.p >= this.threshold).length;
    const unscored = all.filter((row) => row.reason === UNSCORED).length;
    const odd = all.filter((row) => row.p === null).length - unscored;
    const labelled = [...this.rows.values()].filter((row) => row.label !== null);
    const alarms = this.curve?.false_alarms[at] ?? 0;
    this.counts.textContent =
      `${count(flagged, "picture")} flagged of ${all.length.toLocaleString("en")}, about ${Math.round(alarms)} of them clean if the probabilities hold` +
      `${odd ? `, ${odd} unreadable or too small` : ""}${unscored ? `, ${unscored} not scored yet` : ""}; ${this.list.length.toLocaleString("en")} shown; ` +
      `${count(labelled.length, "label")} of yours (${labelled.filter((r) => r.label === 1).length} artifact, ${labelled.filter((r) => r.label === 0).length} clean)`;
    this.away.disabled = !flagged && !labelled.some((row) => row.label === 1);
    this.back.disabled = !this.curve?.moved_away;
    this.back.textContent = this.curve?.moved_away ? `Bring ${this.curve.moved_away} back` : "Bring back";
    this.export.disabled = !labelled.length;
    this.zip.toggleAttribute("aria-disabled", !all.length);
  }

  describe(row) {
    if (row.p === null) return row.reason;
    return `${percent(row.p)}${row.family ? ` ${row.family}` : ""}`;
  }

  fill(row, index) {
    const flagged = row.p !== null && row.p >= this.threshold;
    const label = row.label === null ? "" : row.label ? "artifact" : "clean";
    const text = `${row.name}: ${flagged ? "flagged, " : ""}${this.describe(row)}${label ? `, you say ${label}` : ""}`;
    return {
      key: `${row.id} ${flagged} ${label} ${row.p}`, flagged, text, label, source: row.p === null && !row.reason.startsWith("too small") && row.reason !== UNSCORED ? "" : address("sort/thumbnail", { id: row.id }),
      what: this.describe(row), name: row.name, index,
    };
  }

  open(index) {
    const row = this.list[index];
    if (!row) return;
    this.grid.go(index);
    const flagged = row.p !== null && row.p >= this.threshold;
    this.viewer.show({
      name: row.name, picture: address("sort/picture", { id: row.id }),
      map: row.p === null ? null : (family) => address("sort/map", { id: row.id, family, model: this.model.slice(0, 12) }),
      verdict: row.p === null ? row.reason : `${flagged ? "flagged" : "not flagged"}, ${percent(row.p)}`,
      kind: row.p === null ? "other" : flagged ? "artifact" : "clean",
      note: `${flagged && row.family ? `of ${row.family}` : ""}${row.label === null ? "" : `, you say ${row.label ? "artifact" : "clean"}`}`,
      families: Object.fromEntries(this.about.families.map((name) => [name, 0])),
    });
    if (row.p !== null) this.tellMore(row);
  }

  async tellMore(row) {
    const query = { id: row.id, threshold: this.threshold, probability: row.p, only: this.only.join(",") };
    try {
      const { families, unsure } = await ask("sort/said", { query });
      if (this.list[this.grid.here] === row) this.viewer.tell(families, unsure);
    } catch (error) { this.failed.textContent = error.message; }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const actions = {
      a: () => this.label(1), c: () => this.label(0), u: () => this.undo(), " ": () => this.open(this.grid.here),
      Enter: () => this.open(this.grid.here), ArrowLeft: () => this.grid.go(this.grid.here - 1), ArrowRight: () => this.grid.go(this.grid.here + 1),
      ArrowUp: () => this.grid.go(this.grid.here - this.grid.columns), ArrowDown: () => this.grid.go(this.grid.here + this.grid.columns),
      Home: () => this.grid.go(0), End: () => this.grid.go(this.list.length - 1),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || (this.viewer.isOpen && event.key.startsWith("Arrow"))) return false;
    action();
    return true;
  }

  // Requests on their way side by side may arrive in any order, and undo takes back what arrived last.
  inOrder(send) {
    const answer = this.lastSent.then(send);
    this.lastSent = answer.catch(() => null);
    return answer;
  }

  async label(verdict) {
    const row = this.list[this.grid.here];
    if (!row) return;
    const before = row.label;
    row.label = verdict;
    const next = Math.min(this.grid.here + 1, this.list.length - 1);
    this.grid.refresh();
    if (this.viewer.isOpen) this.open(next); else this.grid.go(next);
    try {
      await this.inOrder(() => ask("sort/label", { json: { id: row.id, verdict } }));
      this.failed.textContent = "";
    } catch (error) {
      row.label = before;
      this.failed.textContent = error.message;
    }
    this.grid.refresh();
    this.later = setTimeout(() => { this.redraw(false); this.compare(); }, 0);
  }

  async undo() {
    try {
      const { id } = await this.inOrder(() => ask("sort/unlabel", { method: "POST" }));
      await this.look();
      if (id === null) { this.says.textContent = "no label was given since the page was opened"; return; }
      const index = this.list.findIndex((row) => row.id === id);
      if (index >= 0) { if (this.viewer.isOpen) this.open(index); else this.grid.go(index); }
      this.compare();
    } catch (error) { this.failed.textContent = error.message; }
  }

  move() {
    const flagged = this.counts.textContent.split(" flagged")[0];
    if (!window.confirm(`Move ${flagged} to ${this.target}? What you labelled counts first. "Bring back" undoes it.`)) return;
    this.change("sort/move", { threshold: this.threshold, only: this.only.length ? this.only : null });
  }

  async change(path, json) {
    this.failed.textContent = "";
    for (const button of [this.away, this.back, this.export]) button.disabled = true;
    try {
      const said = await this.inOrder(() => ask(path, json ? { json } : { method: "POST" }));
      await this.look();
      this.says.textContent = said.said;
    } catch (error) { this.failed.textContent = error.message; }
    this.redraw(false);
  }
}

customElements.define("sort-view", SortView);
