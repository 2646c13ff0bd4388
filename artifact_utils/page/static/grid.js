// Tiles of which only those in sight exist: twenty thousand pictures scroll like twenty.
import { make } from "./requests.js";

const SIDE = 150;
const GAP = 8;
const CAPTION = 24;

export class Grid {
  // tile(row, index): what a tile shows; open(index): it was clicked twice, or once on a touch screen
  constructor({ tile, open }) {
    this.tile = tile;
    this.list = [];
    this.here = 0;
    this.isUsed = false; // until somebody is in it, the worst picture is the one that keys act on
    this.columns = 1;
    this.tiles = new Map(); // by index
    this.canvas = make("div", { role: "presentation" });
    this.element = make("div", { class: "grid", role: "listbox", tabindex: "0", "aria-label": "pictures, worst first" }, this.canvas);
    this.empty = make("p", { class: "none", hidden: true }, "No pictures here. Show others, or move the threshold.");
    this.element.append(this.empty);
    this.element.addEventListener("scroll", () => this.draw(), { passive: true });
    this.element.addEventListener("focus", () => { this.isUsed = true; });
    this.element.addEventListener("click", (event) => {
      const found = event.target.closest(".tile");
      if (!found) return;
      const index = Number(found.dataset.index);
      if (event.detail === 2 || index === this.here || matchMedia("(hover: none)").matches) open(index);
      else this.go(index);
    });
    new ResizeObserver(() => this.measure()).observe(this.element);
  }

  measure() {
    const width = this.element.clientWidth - 2 * GAP;
    if (width <= 0) return;
    this.columns = Math.max(2, Math.floor((width + GAP) / (SIDE + GAP)));
    this.side = Math.floor((width + GAP) / this.columns) - GAP;
    this.height = this.side + CAPTION + GAP;
    this.clear();
    this.draw();
  }

  clear() {
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
  }

  show(list, here, toTop) {
    this.list = list;
    this.here = this.isUsed ? Math.min(here, Math.max(0, list.length - 1)) : 0;
    this.empty.hidden = list.length > 0;
    if (toTop) this.element.scrollTop = 0;
    this.draw();
  }

  refresh() { this.draw(); }

  go(index) {
    if (!this.list.length) return;
    this.isUsed = true;
    this.here = Math.max(0, Math.min(index, this.list.length - 1));
    const top = Math.floor(this.here / this.columns) * this.height;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    const below = top + this.height + GAP - this.element.clientHeight;
    if (below > this.element.scrollTop) this.element.scrollTop = below;
    this.draw();
  }

  draw() {
    if (!this.height) return;
    const rows = Math.ceil(this.list.length / this.columns);
    this.canvas.style.height = `${rows * this.height + GAP}px`;
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - 2) * this.columns;
    const last = Math.min(this.list.length, (Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.height) + 2) * this.columns);
    for (const [index, tile] of this.tiles) {
      if (index < first || index >= last) {
        tile.remove();
        this.tiles.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) this.place(index);
    this.element.setAttribute("aria-activedescendant", this.list.length ? `tile-${this.here}` : "");
  }

  place(index) {
    const said = this.tile(this.list[index], index);
    const key = `${said.key} ${index === this.here}`;
    const before = this.tiles.get(index);
    if (before?.dataset.key === key) return;
    const tile = before ?? make("div", { class: "tile", role: "option", id: `tile-${index}` });
    tile.dataset.key = key;
    tile.dataset.index = index;
    tile.className = `tile${said.flagged ? " flagged" : ""}${index === this.here ? " here" : ""}`;
    tile.setAttribute("aria-label", said.text);
    tile.setAttribute("aria-selected", index === this.here);
    tile.setAttribute("aria-setsize", this.list.length);
    tile.setAttribute("aria-posinset", index + 1);
    tile.title = said.name;
    const column = index % this.columns;
    tile.style.cssText = `left:${GAP + column * (this.side + GAP)}px;top:${GAP + Math.floor(index / this.columns) * this.height}px;width:${this.side}px;height:${this.side + CAPTION}px`;
    let image = tile.querySelector("img");
    if (!said.source) image?.remove();
    else {
      if (!image) tile.append((image = make("img", { alt: "", loading: "lazy", decoding: "async" })));
      if (image.getAttribute("src") !== said.source) image.setAttribute("src", said.source);
    }
    tile.querySelectorAll(".what, .badge").forEach((piece) => piece.remove());
    tile.append(make("span", { class: "what" }, make("span", {}, said.what)));
    if (said.label) tile.append(make("span", { class: `badge ${said.label}` }, said.label));
    if (!before) {
      this.tiles.set(index, tile);
      this.canvas.append(tile);
    }
  }
}
