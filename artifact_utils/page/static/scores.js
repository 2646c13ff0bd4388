// Scores that another command has written, of any number of pictures: looked into, and never changed.
import { address, ask, count, make, percent } from "./requests.js";
import { Viewer } from "./viewer.js";
import { Grid } from "./grid.js";
import { Histogram } from "./histogram.js";

const STEPS = 1000;
const WHICH = { worst: "the worst", borderline: "just below the threshold", unreadable: "unreadable or too small" };

class ScoresView extends HTMLElement {
  async connectedCallback() {
    if (this.begun) return;
    this.begun = true;
    this.list = [];
    this.asked = 0;
    this.says = make("p", { class: "say", role: "status" });
    this.counts = make("p", { class: "say counts", role: "status" });
    this.failed = make("p", { class: "say bad", role: "alert" });
    this.again = make("button", { class: "act", type: "button", onclick: () => this.readAnew() }, "Read anew");
    this.number = make("input", {
      type: "number", class: "number", min: 0, max: 1, step: 0.001, "aria-label": "threshold, probability",
      onchange: () => this.setThreshold(Number(this.number.value)),
    });
    this.histogram = new Histogram((threshold) => this.setThreshold(threshold));
    const options = Object.entries(WHICH).map(([value, text]) => make("option", { value }, text));
    this.which = make("select", { class: "number", onchange: () => this.fetchRows(true) }, ...options);
    this.folder = make("select", { class: "number", onchange: () => this.look(true) });
    this.family = make("select", { class: "number", onchange: () => this.look(true) });
    this.familyBox = make("label", { hidden: true }, "Family ", this.family);
    this.grid = new Grid({ tile: (row) => this.fill(row), open: (i) => this.open(i) });
    this.flaggedList = make("a", { class: "act", download: "flagged.csv" }, "All flagged (.csv)");
    this.cleanList = make("a", { class: "act", download: "clean.csv" }, "All clean (.csv)");
    this.append(
      make("div", { class: "row" }, make("div", { class: "grow" }, this.says), this.again), this.failed,
      this.histogram.element,
      make("div", { class: "row" }, make("label", {}, "Threshold ", this.number), make("label", {}, "Show ", this.which),
        make("label", {}, "Folder ", this.folder), this.familyBox),
      this.counts, this.grid.element,
      make("p", { class: "soft keys" }, ...[["←", " "], ["→", " "], ["↑", " "], ["↓", " move, "], ["space", " large"]].flatMap(
        ([key, text]) => [make("kbd", {}, key), text])),
      make("div", { class: "row" }, this.flaggedList, this.cleanList));
    this.viewer = new Viewer(this, { step: (by) => this.open(this.grid.here + by) });
    this.grid.element.addEventListener("keydown", (event) => { if (this.key(event)) event.preventDefault(); });
    await this.attempt(() => this.begin());
  }

  // What an action may fail at is said above the histogram.
  async attempt(action) {
    this.failed.textContent = "";
    try { await action(); } catch (error) { this.failed.textContent = error.message; }
  }

  async begin() {
    this.about = await ask("scores/about");
    const { folders, families, model, source } = this.about;
    const [folder, family] = [this.folder.value, this.family.value];
    const text = ({ name, n }) => `${name === "." ? "(no folder)" : name}: ${n.toLocaleString("en")}`;
    this.folder.replaceChildren(make("option", { value: "" }, "all"), ...folders.map((f) => make("option", { value: f.name }, text(f))));
    this.folder.value = folders.some((f) => f.name === folder) ? folder : "";
    this.family.replaceChildren(make("option", { value: "" }, "any"), ...families.map((name) => make("option", {}, name)));
    this.family.value = families.includes(family) ? family : "";
    this.familyBox.hidden = !families.length;
    this.says.textContent = `Scores of ${source}, by the model ${model.slice(0, 8)}`;
    this.threshold ??= this.about.threshold;
    await this.look(false);
    this.setThreshold(this.threshold);
  }

  async readAnew() {
    this.again.disabled = true;
    await this.attempt(async () => {
      await ask("scores/read", { method: "POST" });
      await this.begin();
    });
    this.again.disabled = false;
  }

  // Counts of the chosen pictures at all thresholds, and the pictures themselves.
  async look(toTop) {
    await this.attempt(async () => {
      const chosen = this.chosen;
      const curve = await ask("scores/curve", { query: chosen });
      if (JSON.stringify(chosen) !== JSON.stringify(this.chosen)) return;
      this.curve = curve;
      this.histogram.drawCurve(curve.flagged);
      await this.fetchRows(toTop);
    });
  }

  get chosen() { return { folder: this.folder.value, family: this.family.value }; }

  setThreshold(value) {
    if (!this.about || !(value >= 0 && value <= 1)) return;
    this.threshold = value === this.about.threshold ? value : Math.round(value * STEPS) / STEPS; // that the curve tells of
    this.number.value = this.threshold.toFixed(3);
    this.histogram.set(this.threshold);
    this.flaggedList.href = address("scores/flagged.csv", { threshold: this.threshold });
    this.cleanList.href = address("scores/clean.csv", { threshold: this.threshold });
    this.tell();
    this.grid.refresh();
    clearTimeout(this.later);
    if (this.which.value === "borderline") this.later = setTimeout(() => this.fetchRows(true), 200);
  }

  async fetchRows(toTop) {
    this.asked += 1;
    const { asked } = this;
    await this.attempt(async () => {
      const said = await ask("scores/rows", { query: { threshold: this.threshold, which: this.which.value, ...this.chosen } });
      if (asked !== this.asked) return; // something else was chosen meanwhile
      this.list = said.id.map((id, i) => ({ id, name: said.name[i], p: said.probability[i], family: said.family[i], reason: said.reason[i] }));
      this.n = said.n;
      this.grid.show(this.list, toTop ? 0 : this.grid.here, toTop);
      this.tell();
    });
  }

  tell() {
    if (!this.curve) return;
    const { n, unreadable, too_small: small, flagged, false_alarms: alarms, at_first: first } = this.curve;
    const at = Math.round(this.threshold * STEPS);
    const [f, clean] = this.threshold === this.about.threshold ? [first.flagged, first.false_alarms] : [flagged[at], alarms[at]];
    const more = this.n > this.list.length ? `the first ${this.list.length.toLocaleString("en")} of ${this.n.toLocaleString("en")}` : this.list.length.toLocaleString("en");
    this.counts.textContent =
      `${count(f, "picture")} flagged of ${n.toLocaleString("en")}, about ${Math.round(clean).toLocaleString("en")} of them clean if the probabilities hold` +
      `${unreadable ? `, ${unreadable.toLocaleString("en")} unreadable` : ""}${small ? `, ${small.toLocaleString("en")} too small` : ""}; ${more} shown`;
  }

  describe(row) { return row.p === null ? row.reason : `${percent(row.p)}${row.family ? ` ${row.family}` : ""}`; }

  isFlagged(row) { return row.p !== null && row.p >= this.threshold; }

  fill(row) {
    const flagged = this.isFlagged(row);
    return {
      key: `${row.id} ${flagged}`, flagged, text: `${row.name}: ${flagged ? "flagged, " : ""}${this.describe(row)}`, what: this.describe(row), name: row.name,
      source: row.p === null && !row.reason.startsWith("too small") ? "" : address("scores/thumbnail", { id: row.id }),
    };
  }

  open(index) {
    const row = this.list[index];
    if (!row) return;
    this.grid.go(index);
    const flagged = this.isFlagged(row);
    const maps = this.about.has_maps && row.p !== null;
    this.viewer.show({
      name: row.name, picture: address("scores/picture", { id: row.id }),
      map: maps ? (family) => address("scores/map", { id: row.id, family }) : null,
      noMap: row.p !== null && !maps ? `no heat map: another model (${this.about.model.slice(0, 8)} …) has scored these, name it with --run` : "",
      verdict: row.p === null ? row.reason : `${flagged ? "flagged" : "not flagged"}, ${percent(row.p)}`,
      kind: row.p === null ? "other" : flagged ? "artifact" : "clean", note: flagged && row.family ? `of ${row.family}` : "",
      families: Object.fromEntries(this.about.families.map((name) => [name, 0])),
    });
    this.attempt(async () => {
      const { families, unsure } = await ask("scores/said", { query: { id: row.id, threshold: this.threshold } });
      if (this.list[this.grid.here] === row) this.viewer.tell(families, unsure);
    });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const { here, columns } = this.grid;
    const steps = { ArrowLeft: here - 1, ArrowRight: here + 1, ArrowUp: here - columns, ArrowDown: here + columns, Home: 0, End: this.list.length - 1 };
    if (event.key in steps) this.grid.go(steps[event.key]);
    else if (event.key === " " || event.key === "Enter") this.open(here);
    else return false;
    return true;
  }
}

customElements.define("scores-view", ScoresView);
