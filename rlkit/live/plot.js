// Draws figures that travel as typed buffers, with the one Plotly of the page, in the colours of the page.

const INK = /^(#000|#000000|black|rgb\(0, ?0, ?0\))$/i;
const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array };

function plotlyReady() {
  if (!globalThis.rlkitPlotly) {
    const slot = {};
    slot.ready = new Promise((resolve, reject) => Object.assign(slot, { resolve, reject }));
    slot.ready.catch(() => {});
    globalThis.rlkitPlotly = slot;
  }
  return globalThis.rlkitPlotly.ready;
}

/** {rlkit, shape, bytes} -> a typed array, or rows of typed arrays; everything else is copied as it is. */
function revive(node) {
  if (node === null || typeof node !== "object") return node;
  if (Array.isArray(node)) return node.map(revive);
  if (node.rlkit) {
    const { buffer, byteOffset, byteLength } = node.bytes;
    const flat = new TYPES[node.rlkit](buffer.slice(byteOffset, byteOffset + byteLength));
    return fold(flat, node.shape);
  }
  if (ArrayBuffer.isView(node)) return node;
  return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, revive(v)]));
}

function fold(flat, shape) {
  if (shape.length < 2) return flat;
  const [n, ...rest] = shape;
  const size = rest.reduce((a, b) => a * b, 1);
  return Array.from({ length: n }, (_, i) => fold(flat.subarray(i * size, (i + 1) * size), rest));
}

/** Is the page dark? Lab says so on its body; elsewhere the system does. */
function isDark() {
  const lab = document.body.dataset.jpThemeLight;
  if (lab !== undefined) return lab === "false";
  return globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
}

/** Calls back when the theme changes; gives what stops it. */
function onTheme(call) {
  const watch = new MutationObserver(call);
  watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  const system = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
  system?.addEventListener?.("change", call);
  return () => {
    watch.disconnect();
    system?.removeEventListener?.("change", call);
  };
}

/** Black ink becomes light on a dark page. In place: the node is our own copy. */
function relight(node, ink) {
  for (const key in node) {
    const value = node[key];
    if (typeof value === "string") {
      if (INK.test(value)) node[key] = ink;
    } else if (value !== null && typeof value === "object" && !ArrayBuffer.isView(value)) relight(value, ink);
  }
}

const THEMES = {
  light: { ink: "#000000", text: "#1d2129", quiet: "#5f6773", line: "#9aa2ad", grid: "rgba(96,110,130,.17)", card: "#ffffff" },
  dark: { ink: "#f2f4f8", text: "#e6e8ec", quiet: "#a6adb8", line: "#6d7480", grid: "rgba(160,175,200,.17)", card: "#23262c" },
};

/** A picture in an element. `show(frame)` may be called at any rate: only the newest frame is drawn. */
class Picture {
  constructor(el, { painted = () => {}, failed = () => {} } = {}) {
    Object.assign(this, { el, painted, failed, next: null, last: null, busy: false, held: false });
    this.extra = { ghosts: [], marks: [] };
    this.box = document.createElement("div");
    this.box.className = "rlkit-plot";
    this.box.setAttribute("role", "img");
    el.appendChild(this.box);
    this.width = 0;
    this.stop = new AbortController();
    const { signal } = this.stop;
    // A redraw under the pointer would end a zoom that is being dragged.
    this.box.addEventListener("pointerdown", () => (this.held = true), { signal });
    addEventListener("pointerup", () => { this.held = false; this.paint(); }, { signal });
    this.sizes = new ResizeObserver(() => {
      if (Math.round(el.clientWidth) !== this.width) this.redraw();
    });
    this.sizes.observe(el);
    this.endTheme = onTheme(() => this.redraw());
  }

  show(frame) {
    if (!frame) return;
    this.next = frame;
    this.box.dataset.rlkitReceived = frame.n;
    this.paint();
  }

  /** Draw the last frame again: the theme, the width, the marks or the ghosts have changed. */
  redraw() {
    if (this.last && !this.next) this.next = this.last;
    this.paint();
  }

  /** Something to draw, somewhere to draw it: not while a zoom is dragged, nor while the tab is hidden. */
  get due() {
    return this.next && !this.held && !this.gone && this.el.clientWidth > 0;
  }

  async paint() {
    if (this.busy || !this.due) return;
    this.busy = true;
    try {
      const Plotly = await plotlyReady();
      while (this.due) {
        const frame = this.next;
        this.next = null;
        await this.draw(Plotly, frame);
        await new Promise((done) => requestAnimationFrame(done));
        if (this.gone) break;
        this.last = frame;
        this.box.dataset.rlkitFrame = frame.n;
        this.painted(frame.n);
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.busy = false;
    }
  }

  async draw(Plotly, frame) {
    const { data, layout } = this.compose(frame.figure);
    const says = frame.figure.layout?.meta?.says ?? layout.title?.text ?? "figure";
    this.box.setAttribute("aria-label", says);
    await Plotly.react(this.box, data, layout, { displayModeBar: false, responsive: false, doubleClickDelay: 250 });
    this.Plotly = Plotly;
  }

  compose(figure) {
    const dark = isDark();
    const theme = dark ? THEMES.dark : THEMES.light;
    const data = revive(figure.data);
    const layout = revive(figure.layout ?? {});
    const ghosts = this.extra.ghosts.flatMap((g) => ghostTraces(g, theme));
    if (dark) {
      relight(data, theme.ink);
      relight(layout, theme.ink);
    }
    this.width = Math.round(this.el.clientWidth);
    const font = { family: getComputedStyle(this.el).fontFamily, size: 12, ...layout.font, color: theme.text };
    Object.assign(layout, {
      width: this.width,
      height: layout.height ?? 430,
      autosize: false,
      font,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      uirevision: layout.uirevision ?? "rlkit",
      margin: { l: 56, r: 18, t: layout.title ? 52 : 26, b: 46, ...layout.margin },
      hoverlabel: { bgcolor: theme.card, bordercolor: theme.line, ...layout.hoverlabel, font: { color: theme.text } },
      legend: { bgcolor: "rgba(0,0,0,0)", ...layout.legend },
    });
    for (const t of data) if (t.xaxis === undefined && t.type !== "pie") t.xaxis = "x";
    for (const key of new Set([...Object.keys(layout), "xaxis", "yaxis"])) {
      if (!/^[xy]axis\d*$/.test(key)) continue;
      const axis = (layout[key] = { automargin: true, ...layout[key] });
      if (key[0] === "x") fewTicks(axis, this.width - 90);
      if (axis.type === "log") axis.tickfont ??= { size: 10 }; // powers are drawn a size larger than asked
      Object.assign(axis, { gridcolor: theme.grid, zerolinecolor: theme.line, linecolor: theme.line, tickcolor: theme.line });
      axis.title = typeof axis.title === "string" ? { text: axis.title } : { ...axis.title };
    }
    stackPanes(layout, this.width);
    markLines(data, layout, this.extra.marks, theme);
    return { data: [...ghosts, ...data], layout };
  }

  close() {
    this.gone = true;
    this.stop.abort();
    this.sizes.disconnect();
    this.endTheme();
    this.Plotly?.purge(this.box);
  }
}

const NARROW = 190; // pixels: below this two panes side by side cannot be read

/** Where the panes of a figure would be too narrow, put them below each other; their titles and shapes go with them. */
function stackPanes(layout, width) {
  const { margin } = layout;
  const inner = width - margin.l - margin.r;
  const panes = Object.keys(layout).filter((k) => /^xaxis\d*$/.test(k) && layout[k].domain).map((k) => {
    const x = layout[k], y = layout[(x.anchor ?? "y").replace("y", "yaxis")];
    return { x, y, box: [...x.domain, ...(y?.domain ?? [0, 1])] };
  });
  const loose = Object.keys(layout).some((k) => /^[xy]axis/.test(k) && layout[k].overlaying);
  if (panes.length < 2 || loose || panes.some((p) => !p.y) || panes.every((p) => (p.box[1] - p.box[0]) * inner >= NARROW)) return;
  panes.sort((a, b) => b.box[3] - a.box[3] || a.box[0] - b.box[0]);
  const high = 200, gap = 84, old = layout.height - margin.t - margin.b;
  const tall = panes.length * (high + gap) - gap;
  panes.forEach((pane, i) => {
    const top = 1 - (i * (high + gap)) / tall;
    const to = [0, 1, Math.max(0, top - high / tall), top];
    const [x0, x1, y0, y1] = pane.box;
    pane.x.domain = to.slice(0, 2);
    pane.y.domain = to.slice(2);
    const mapX = (x) => (x - x0) / (x1 - x0);
    const mapY = (y) => to[2] + ((y - y0) / (y1 - y0)) * (to[3] - to[2]);
    const within = (x, y) => x >= x0 - 1e-6 && x <= x1 + 1e-6 && y >= y0 - 1e-6 && y <= y1 + 0.06;
    for (const note of layout.annotations ?? []) {
      if (note.xref === "paper" && note.yref === "paper" && !note.moved && within(note.x, note.y)) {
        Object.assign(note, { x: mapX(note.x), y: mapY(note.y), moved: true });
      }
    }
  });
  for (const note of layout.annotations ?? []) delete note.moved;
  if (layout.legend.y > 1) layout.legend.y = 1 + ((layout.legend.y - 1) * old) / tall;
  layout.height = tall + margin.t + margin.b;
  for (const { x } of panes) fewTicks(x, inner);
}

/** Labels that lie flat: as many as the axis has room for at this width. */
function fewTicks(axis, width) {
  const [left, right] = axis.domain ?? [0, 1];
  axis.tickangle ??= 0;
  axis.room ??= axis.nticks || 6;
  if (axis.type !== "category") axis.nticks = Math.max(2, Math.min(axis.room, Math.floor((width * (right - left)) / 48)));
}

/** The curves of a pinned run: thin, grey, dashed, with a letter at their end. */
function ghostTraces({ key, label, traces }, theme) {
  return revive(traces).map((t) => {
    const n = t.x?.length ?? 0;
    const text = Array.from({ length: n }, (_, i) => (i === n - 1 ? key : ""));
    return {
      ...t,
      mode: "lines+text", text, textposition: "middle right", textfont: { size: 11, color: theme.quiet },
      line: { ...t.line, color: "#8a8a8a", dash: "dash", width: 1.25 },
      opacity: 0.75, showlegend: false, legendgroup: undefined, hoverinfo: "skip", hovertemplate: undefined,
      name: `${key}: ${label}`, fill: "none", cliponaxis: false,
    };
  });
}

/** A dotted line on every axis that counts steps, where a slider was moved in mid-run. */
function markLines(data, layout, marks, theme) {
  const steps = layout.meta?.steps ?? [];
  if (!marks.length || !steps.length) return;
  layout.shapes = [...(layout.shapes ?? [])];
  layout.annotations = [...(layout.annotations ?? [])];
  for (const x of steps) {
    const axis = layout[x.replace("x", "xaxis")] ?? {};
    const span = axis.range && axis.type !== "log" ? Math.abs(axis.range[1] - axis.range[0]) : marks.at(-1).step;
    const ys = new Set(data.filter((t) => (t.xaxis ?? "x") === x).map((t) => t.yaxis ?? "y"));
    for (const y of ys) {
      marks.forEach(({ step, text }, i) => {
        const line = { color: theme.quiet, width: 1, dash: "dot" };
        layout.shapes.push({ type: "line", xref: x, yref: `${y} domain`, x0: step, x1: step, y0: 0, y1: 1, line });
        const room = (marks[i + 1]?.step ?? Infinity) - step;
        if (i < marks.length - 4 || room < 0.07 * span) return; // older and crowded ones keep their line only
        const at = axis.type === "log" ? Math.log10(step) : step;
        layout.annotations.push({
          xref: x, yref: `${y} domain`, x: at, y: 1, text, textangle: -90, showarrow: false,
          xanchor: "right", yanchor: "top", font: { size: 10, color: theme.quiet },
        });
      });
    }
  }
}

const viewName = () => Math.random().toString(36).slice(2, 10);

/** The figure alone: what `live.Plot` shows. */
function renderPlot({ model, el }) {
  const view = viewName();
  el.classList.add("rlkit-alone");
  const note = document.createElement("p");
  note.className = "rlkit-note";
  const picture = new Picture(el, {
    painted: (frame) => model.send({ do: "ack", view, frame }),
    failed: (error) => { note.textContent = `The picture could not be drawn: ${error.message}`; el.append(note); },
  });
  const draw = () => picture.show(model.get("frame"));
  model.on("change:frame", draw);
  draw();
  return () => {
    model.off("change:frame", draw);
    picture.close();
    model.send({ do: "bye", view });
  };
}
