// Reports and figures of runs, and the audit of the folder.
import { address, ask, make } from "./requests.js";

class ReportsView extends HTMLElement {
  connectedCallback() {
    if (this.begun) return;
    this.begun = true;
    this.menu = make("select", { class: "number", "aria-label": "report", onchange: () => this.show() });
    this.audit = make("button", { class: "act", type: "button", hidden: true, onclick: () => this.start() }, "Audit this folder");
    this.says = make("p", { class: "say", role: "status" });
    this.place = make("div", { class: "reports" });
    this.menuBox = make("label", { hidden: true }, "Report ", this.menu);
    this.append(make("div", { class: "row" }, this.menuBox, this.audit), this.says, this.place);
    this.look();
    new IntersectionObserver((seen) => { if (seen.some((e) => e.isIntersecting)) this.look(); }).observe(this);
  }

  async look() {
    try {
      const said = await ask("reports/list");
      const titles = said.pages.map((page) => page.title).join("\n");
      if (titles !== this.titles) {
        this.titles = titles;
        this.pages = said.pages;
        this.menu.replaceChildren(...said.pages.map((page) => make("option", {}, page.title)));
        this.show();
      }
      this.menuBox.hidden = !said.pages.length;
      this.audit.hidden = said.audit === null;
      this.audit.disabled = said.audit?.running;
      if (said.audit?.running) {
        this.says.textContent = "looking through the folder: broken files, duplicates, dark or blurry pictures …";
        setTimeout(() => this.look(), 1500);
      } else if (said.audit?.error) this.says.textContent = said.audit.error;
      else if (!said.pages.length) {
        this.says.textContent = "There is no report yet. python -m artifact_utils.metrics RUN DATASET writes one into its run folder.";
      } else this.says.textContent = "";
    } catch (error) { this.says.textContent = error.message; }
  }

  async start() {
    try { await ask("reports/audit", { method: "POST" }); } catch (error) { this.says.textContent = error.message; }
    this.look();
  }

  show() {
    const page = this.pages.find((p) => p.title === this.menu.value);
    if (!page) { this.place.replaceChildren(); return; }
    const source = address(`reports/show/${encodeURIComponent(page.title)}`);
    this.place.replaceChildren(
      page.kind === ".html" ? make("iframe", { src: source, title: page.title, sandbox: "" }) : make("img", { src: source, alt: page.title }),
      make("a", { href: source, target: "_blank", rel: "noopener", class: "soft" }, "open in a tab of its own"));
  }
}

customElements.define("reports-view", ReportsView);
