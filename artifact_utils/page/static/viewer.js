// One picture, large, with the heat map laid over it.
import { ask, make, percent } from "./requests.js";

export class Viewer {
  // buttons: [label, action] pairs; step(by) shows another picture; keys(event) may handle a key itself
  constructor(holder, { buttons = [], step, keys } = {}) {
    this.picture = make("img", { alt: "", class: "picture" });
    this.map = make("img", { class: "map", alt: "" });
    this.title = make("h2", { tabindex: "-1" });
    this.verdict = make("p", { class: "say", role: "status" });
    this.bars = make("div", { class: "bars" });
    this.unsure = make("ul", { class: "unsure" });
    this.opacity = make("input", {
      type: "range", min: 0, max: 100, value: 60, "aria-label": "opacity of the heat map, percent", class: "opacity",
      oninput: () => this.fade(),
    });
    this.family = make("select", { class: "number", "aria-label": "heat map of", onchange: () => this.drawMap() });
    this.mapSays = make("p", { class: "soft say" });
    this.mapBox = make("div", {}, "Heat map of ", this.family, this.opacity);
    this.failed = make("p", { class: "say bad", role: "alert" });
    this.dialog = make(
      "dialog", { class: "viewer", "aria-label": "one picture" },
      make("div", { class: "inside" },
        make("div", { class: "stage" }, this.picture, this.map),
        make("div", {},
          this.title, this.verdict, this.failed, this.bars, this.unsure, this.mapBox, this.mapSays,
          make("div", { class: "row" },
            ...buttons.map(([text, action]) => make("button", { class: "act", type: "button", onclick: action }, text))),
          make("div", { class: "row" },
            make("button", { class: "act", type: "button", onclick: () => step(-1), "aria-label": "picture before" }, "←"),
            make("button", { class: "act", type: "button", onclick: () => step(1), "aria-label": "next picture" }, "→"),
            make("button", { class: "act", type: "button", onclick: () => this.close() }, "Close")))));
    this.dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("select, input") && event.key !== "Escape") return;
      if (event.key === "ArrowLeft") step(-1);
      else if (event.key === "ArrowRight") step(1);
      else if (event.key === " " && !event.target.matches("button")) this.close();
      else if (!keys || !keys(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.picture.addEventListener("error", () => this.tellFault());
    this.map.addEventListener("load", () => { this.mapSays.textContent = ""; this.fade(); });
    this.map.addEventListener("error", () => { this.mapSays.textContent = "no heat map of this picture"; });
    holder.append(this.dialog);
  }

  get isOpen() { return this.dialog.open; }

  close() { this.dialog.close(); }

  fade() {
    this.map.style.opacity = this.opacity.value / 100;
    this.opacity.setAttribute("aria-valuetext", `${this.opacity.value} percent`);
  }

  drawMap() {
    this.map.style.opacity = 0;
    this.map.hidden = this.mapBox.hidden = !this.shown.map;
    this.mapSays.textContent = this.shown.noMap ?? "";
    if (!this.shown.map) return;
    this.mapSays.textContent = "drawing where the detector sees it …";
    this.map.src = this.shown.map(this.family.value);
  }

  async tellFault() { // an <img> does not say why
    const { picture } = this.shown;
    try { await ask(picture); } catch (error) { if (this.shown.picture === picture) this.failed.textContent = error.message; }
  }

  tell(families, unsure) {
    this.bars.replaceChildren(...Object.entries(families ?? {}).flatMap(([name, p]) => [
      make("span", {}, name),
      make("span", { class: "bar" }, make("i", { style: `width:${100 * p}%` })),
      make("span", {}, percent(p)),
    ]));
    this.unsure.replaceChildren(...(unsure ?? []).map((line) => make("li", {}, line)));
  }

  // said: {name, picture, map(family), noMap: why there is none, verdict, kind, families: {name: p}, unsure, note}
  show(said) {
    this.shown = said;
    this.title.textContent = said.name;
    this.failed.textContent = "";
    this.picture.src = said.picture;
    this.picture.alt = `${said.name}: ${said.verdict}`;
    this.verdict.replaceChildren(make("span", { class: `verdict ${said.kind}` }, said.verdict), said.note ? ` ${said.note}` : "");
    this.tell(said.families, said.unsure);
    const chosen = this.family.value;
    const names = Object.keys(said.families ?? {});
    this.family.replaceChildren(make("option", { value: "" }, "any artifact"), ...names.map((n) => make("option", {}, n)));
    this.family.value = names.includes(chosen) ? chosen : "";
    if (!this.dialog.open) {
      this.dialog.showModal();
      this.title.focus();
    }
    this.drawMap();
  }
}
