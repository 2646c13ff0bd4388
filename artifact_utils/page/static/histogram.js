// The probabilities of a folder, with the threshold as a slider on them.
import { make } from "./requests.js";

const BINS = 50;
const SVG = "http://www.w3.org/2000/svg";

export class Histogram {
  constructor(moved) {
    this.drawing = document.createElementNS(SVG, "svg");
    this.drawing.setAttribute("viewBox", `0 0 ${BINS} 100`);
    this.drawing.setAttribute("preserveAspectRatio", "none");
    this.drawing.setAttribute("role", "img");
    this.drawing.setAttribute("aria-label", "histogram of the probabilities");
    this.slider = make("input", {
      type: "range", min: 0, max: 1, step: 0.001, "aria-label": "threshold: pictures from this probability on are flagged",
      oninput: () => moved(Number(this.slider.value)),
    });
    this.element = make("div", { class: "plot" }, this.drawing, this.slider,
      make("div", { class: "scale", "aria-hidden": "true" }, ...["0% clean", "25%", "50%", "75%", "100% artifact"].map((t) => make("span", {}, t))));
    this.bins = new Array(BINS).fill(0);
  }

  set(threshold) {
    this.threshold = threshold;
    this.slider.value = threshold;
    this.paint();
  }

  draw(rows) {
    this.bins.fill(0);
    for (const { p } of rows) if (p !== null) this.bins[Math.min(BINS - 1, Math.floor(p * BINS))] += 1;
    this.paint();
  }

  // flagged: how many pictures are from each of the thresholds 0, 1/1000, ..., 1 on
  drawCurve(flagged) {
    const step = (flagged.length - 1) / BINS;
    this.bins = this.bins.map((_, i) => flagged[i * step] - (i === BINS - 1 ? 0 : flagged[(i + 1) * step]));
    this.paint();
  }

  paint() {
    const highest = Math.sqrt(Math.max(1, ...this.bins)); // roots, so that few are seen beside many
    const bars = this.bins.map((n, i) => {
      const bar = document.createElementNS(SVG, "rect");
      const height = (95 * Math.sqrt(n)) / highest;
      const values = { x: i + 0.06, y: 100 - height, width: 0.88, height, class: (i + 0.5) / BINS >= this.threshold ? "above" : "below" };
      for (const [name, value] of Object.entries(values)) bar.setAttribute(name, value);
      return bar;
    });
    const line = document.createElementNS(SVG, "line");
    for (const [name, value] of Object.entries({ x1: this.threshold * BINS, x2: this.threshold * BINS, y1: 0, y2: 100 })) line.setAttribute(name, value);
    this.drawing.replaceChildren(...bars, line);
  }
}
