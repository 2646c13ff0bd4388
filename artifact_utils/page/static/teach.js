// Learning from the labels of the folder: what is missing, how far it is, what it would change, and using it.
import { address, ask, count, make, percent } from "./requests.js";

const KINDS = { labels: "Learn from my corrections", generator: "Fit to my generator" };
const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;

class TeachView extends HTMLElement {
  connectedCallback() {
    if (this.begun) return;
    this.begun = true;
    const action = (text, path, json, kind = "act") => make("button", { class: kind, type: "button", onclick: () => this.send(path, json?.()) }, text);
    this.labels = make("p", { class: "say labels", role: "status" });
    this.model = make("p", { class: "say" });
    this.back = action("Back to the model before", "teach/back");
    this.learn = make("button", { class: "act", type: "button", onclick: () => this.send("teach/start", { kind: "labels" }) }, KINDS.labels);
    this.fit = make("button", { class: "act", type: "button", onclick: () => this.fitGenerator() }, KINDS.generator);
    this.fitNeeds = make("p", { class: "soft" });
    this.learnNeeds = make("p", { class: "soft" });
    this.busy = make("progress", { max: 1, value: 0, "aria-label": "steps of the lesson", hidden: true });
    this.says = make("p", { class: "say progress", role: "status" });
    this.stop = action("Stop", "teach/stop");
    this.failed = make("p", { class: "say bad", role: "alert" });
    this.result = make("section", { class: "panel lesson", hidden: true });
    this.use = action("Use it", "teach/use", () => ({ name: this.about.lesson.name }), "act strong");
    this.discard = action("Discard", "teach/discard", () => ({ name: this.about.lesson.name }));
    this.append(
      this.labels, make("div", { class: "row" }, this.model, this.back),
      make("div", { class: "lessons" },
        make("section", { class: "panel" }, make("h2", {}, "What you call a fault"),
          make("p", {}, "Learns from what you labelled in “Sort and correct” with the keys a and c; labels that agree with the verdict teach, too."),
          this.learnNeeds, this.learn),
        make("section", { class: "panel" }, make("h2", {}, "How your generator paints"),
          make("p", {}, "Learns from clean portraits alone, with artifacts that are made on them: at most 5% of such portraits are flagged then."),
          this.fitNeeds, this.fit)),
      make("div", { class: "row" }, make("div", { class: "grow" }, this.busy, this.says), this.stop), this.failed, this.result);
    this.stop.hidden = this.back.hidden = true;
    this.follow();
    new IntersectionObserver((seen) => { if (seen.some((e) => e.isIntersecting)) this.look().catch(() => {}); }).observe(this);
  }

  async follow() {
    for (;;) {
      if (this.offsetParent || this.about === undefined) {
        try {
          await this.look();
          if (this.lost) { this.failed.textContent = ""; this.lost = false; }
        } catch (error) { this.failed.textContent = error.message; this.lost = true; }
      }
      const { progress, scoring } = this.about ?? {};
      await new Promise((done) => setTimeout(done, document.hidden ? 10000 : progress?.running || scoring?.running ? 700 : 3000));
    }
  }

  async look() {
    this.about = await ask("teach/about");
    this.tell();
  }

  async send(path, json) {
    this.failed.textContent = "";
    for (const button of this.querySelectorAll("button")) button.disabled = true;
    try { await ask(path, json ? { json } : { method: "POST" }); } catch (error) { this.failed.textContent = error.message; }
    for (const button of this.querySelectorAll("button")) button.disabled = false;
    await this.look().catch((error) => { this.failed.textContent = error.message; });
  }

  fitGenerator() {
    const { labels, pictures } = this.about;
    const all = `Nothing is labelled: all ${count(pictures, "picture")} of this folder are taken for clean portraits. Is that so?`;
    if (labels.clean + labels.artifact > 0 || window.confirm(all)) this.send("teach/start", { kind: "generator" });
  }

  tell() {
    const { labels, missing, needed, pictures, progress, scoring, model, before, in_use: inUse, lesson } = this.about;
    const total = labels.clean + labels.artifact;
    const occupied = scoring.running || progress.running;
    this.labels.textContent = `${count(total, "label")} of yours: ${labels.artifact} artifact, ${labels.clean} clean`;
    const of = [["artifact", missing.artifact], ["clean", missing.clean]].filter(([, n]) => n).map(([name, n]) => `${n} ${name}`);
    this.learnNeeds.textContent = missing.all
      ? `It needs ${needed.all} labels, at least ${needed.of_each} of each: ${missing.all} more${of.length ? `, at least ${of.join(" and ")}` : ""}.`
      : `There are enough: it needs ${needed.all} labels, at least ${needed.of_each} of each. More labels teach better.`;
    this.learn.disabled = occupied || missing.all > 0;
    const clean = total ? labels.clean : pictures;
    this.fitNeeds.textContent = total
      ? `It takes the ${count(labels.clean, "picture")} that you labelled clean${clean < needed.all ? `, and needs ${needed.all}: ${needed.all - clean} more` : ""}.`
      : `Nothing is labelled: it would take all ${count(pictures, "picture")} of the folder for clean.`;
    this.fit.disabled = occupied || clean < needed.all;
    this.model.textContent = `Model in use: ${model}`;
    this.back.hidden = before === null;
    this.back.textContent = `Back to ${before}`;
    this.back.disabled = this.use.disabled = this.discard.disabled = occupied;
    this.stop.hidden = !progress.running;
    this.tellProgress(progress, scoring, model);
    const key = JSON.stringify([lesson, inUse]);
    if (key !== this.shown) {
      this.shown = key;
      this.result.hidden = !lesson;
      this.result.replaceChildren(...(lesson ? this.draw(lesson, inUse) : []));
    }
  }

  tellProgress(progress, scoring, model) {
    const { done, total, seconds } = progress.running ? progress : scoring;
    this.busy.hidden = !(progress.running || scoring.running);
    this.busy.max = Math.max(total, 1);
    this.busy.value = done;
    if (progress.running) {
      this.says.textContent = total ? `Learning: step ${done} of ${total}, ${Math.round(seconds)} s …` : "Learning: looking up what is labelled …";
    } else if (scoring.running) {
      this.says.textContent = `${done.toLocaleString("en")} of ${count(total, "picture")} scored by ${model}; nothing can be learned meanwhile`;
    } else this.says.textContent = "";
    if (progress.error !== this.lastError) {
      this.lastError = progress.error;
      this.failed.textContent = progress.error;
    }
  }

  draw(lesson, inUse) {
    const right = lesson.turned.filter((turned) => turned.right).length;
    const interval = (pair, show) => (pair ? make("small", {}, `95%: ${show(pair[0])} to ${show(pair[1])}`) : null);
    const cell = (text, pair, show) => make("td", {}, text, interval(pair, show));
    const row = (title, cells) => make("tr", {}, make("th", { scope: "row" }, title), ...cells);
    const shares = ([title, { of, counts, intervals }]) => row(title, [
      ...counts.map((n, i) => cell(`${n} of ${of}`, intervals[i], percent)),
      make("td", {}, counts[1] === counts[0] ? "0" : `${counts[1] > counts[0] ? "+" : "−"}${Math.abs(counts[1] - counts[0])}`)]);
    const metric = ([title, { values, intervals, change }]) => row(title, [
      ...values.map((value, i) => cell(number(value), intervals[i], number)),
      cell(change.value === null ? "–" : signed(change.value), change.interval, signed)]);
    return [
      make("h2", {}, inUse ? `${lesson.name} is in use` : `What ${lesson.name} would change`),
      make("p", { class: `conclusion ${lesson.verdict.split(" ")[0]}` }, lesson.conclusion),
      make("p", {}, `${count(lesson.n, "picture")}, ${lesson.n_artifacts} with an artifact, each judged by what the others have taught; ` +
        `flagged from ${lesson.thresholds[0].toFixed(2)} on as it is, from ${lesson.thresholds[1].toFixed(2)} on taught.`),
      make("table", { class: "figures" },
        make("thead", {}, make("tr", {}, ...["", "as it is", "taught", "change"].map((text) => (text ? make("th", { scope: "col" }, text) : make("td"))))),
        make("tbody", {},
          metric(["AUC", lesson.metrics.roc_auc]), metric(["macro-F1", lesson.metrics.macro_f1]),
          shares(["Artifacts found", lesson.shares.found]), shares(["False alarms", lesson.shares.false_alarms]))),
      make("div", { class: "row" }, ...(inUse ? [] : [this.use, this.discard])),
      make("p", { class: "soft" }, `It is the run ${lesson.run}, which filter_images.py --run takes, too. ` +
        (inUse ? "Labels and moves are as they were." : "Nothing uses it until you say so; leave it, and it stays there.")),
      make("h2", {}, lesson.turned.length ? `${count(lesson.turned.length, "verdict")} would turn, ${right} of them to the right` : "No verdict would turn"),
      make("ul", { class: "turned" }, ...lesson.turned.map((turned) => this.drawTurned(turned))),
    ];
  }

  drawTurned(turned) {
    const what = turned.label ? "artifact" : "clean";
    const said = turned.made ? "an artifact made on it" : `you say ${what}`;
    const picture = turned.id === null ? null : make("img", { src: address("sort/thumbnail", { id: turned.id }), alt: "", loading: "lazy" });
    return make("li", {}, picture, make("div", {},
      make("span", { class: turned.right ? "right" : "wrong" }, turned.right ? "right" : "wrong"),
      `: ${turned.flagged ? "flagged" : "not flagged"} now, ${percent(turned.before)} → ${percent(turned.after)}; ${said}`,
      make("div", { class: "soft name" }, turned.name)));
  }
}

customElements.define("teach-view", TeachView);
