// The panel: picture, transport, presets, controls. It shows what the kernel says and tells the kernel what was touched;
// it knows no number, only positions in the lists of values that the kernel gave for each control.

const ICONS = {
  run: '<path d="M5 3.2v9.6a.6.6 0 0 0 .92.5l7.3-4.8a.6.6 0 0 0 0-1L5.92 2.7A.6.6 0 0 0 5 3.2z"/>',
  pause: '<rect x="3.6" y="2.8" width="3.2" height="10.4" rx=".8"/><rect x="9.2" y="2.8" width="3.2" height="10.4" rx=".8"/>',
  step: '<path d="M3 3.6v8.8a.5.5 0 0 0 .78.42L10 8.4a.5.5 0 0 0 0-.8L3.78 3.18A.5.5 0 0 0 3 3.6z"/><rect x="11" y="3" width="2" height="10" rx=".6"/>',
  reset: '<path d="M8 2.5a5.5 5.5 0 1 1-5.2 3.7" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round"/><path d="M2.2 2.6v4h4z"/>',
  pin: '<path d="M5.6 1.8h4.8v1.3l-.8.7v3.1l2 2v1.4H8.8L8 14.6l-.8-4.3H4.4V8.9l2-2V3.8l-.8-.7z"/>',
  copy: '<rect x="5.2" y="5.2" width="8" height="8.6" rx="1.4" fill="none" stroke="currentColor" stroke-width="1.5"/><path d="M3.6 10.6A1.4 1.4 0 0 1 2.6 9.2V3.4A1.4 1.4 0 0 1 4 2h5.2a1.4 1.4 0 0 1 1.35 1" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"/>',
  dice: '<rect x="2" y="2" width="12" height="12" rx="2.6" fill="none" stroke="currentColor" stroke-width="1.5"/><circle cx="5.3" cy="5.3" r="1.15"/><circle cx="8" cy="8" r="1.15"/><circle cx="10.7" cy="10.7" r="1.15"/>',
};
const icon = (name) => `<svg viewBox="0 0 16 16" fill="currentColor" aria-hidden="true">${ICONS[name]}</svg>`;

function make(tag, className = "", attributes = {}, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  node.append(...children);
  return node;
}

function iconButton(name, text, title) {
  const button = make("button", `rlkit-button rlkit-${name}`, { type: "button", title });
  button.innerHTML = `${icon(name)}<span>${text}</span>`;
  return button;
}

const thin = (n) => (n < 1e4 ? String(Math.round(n)) : Math.round(n).toLocaleString("en").replace(/,/g, "\u202f"));
const rate = (v) => (v >= 100 ? thin(Number(v.toPrecision(2))) : v.toPrecision(2));

function render({ model, el }) {
  const face = model.get("face");
  const view = viewName();
  let seq = 0;
  const asked = {}; // control -> number of our last message about it
  let waiting = null;

  const root = make("section", "rlkit-panel", {
    role: "group", "aria-label": face.title || (face.sweeps ? "Explorer" : "Live panel"),
    "data-rlkit-state": "idle", "data-rlkit-step": "0", "data-rlkit-error": "",
  });
  const clean = [];
  const shade = () => root.classList.toggle("rlkit-dark", isDark());
  shade();
  clean.push(onTheme(shade), keepKeys(root));

  /** Tell the kernel. If it stays silent, say why: on ipykernel 6 a running cell comes first. */
  function ask(what, more = {}) {
    seq += 1;
    model.send({ do: what, view, seq, ...more });
    expect(700);
    return seq;
  }
  /** So many milliseconds from now, say so if what was asked last is still unheard. */
  function expect(ms) {
    clearTimeout(waiting);
    const mine = seq;
    waiting = setTimeout(() => late(mine, "Waiting for the cell or the update that is running…"), ms);
  }
  function late(mine, text) {
    if ((model.get("now")?.heard?.[view] ?? 0) >= mine) return;
    tell(text, "warn");
    waiting = setTimeout(() => late(mine, "Still no answer: a cell or a single long update is running, or the kernel is gone. Run this cell again when it is back."), 8000);
  }

  // -- the stage: picture, ghosts, caption
  const stage = make("div", "rlkit-stage");
  const figure = make("div", "rlkit-figure");
  const ghosts = make("div", "rlkit-ghosts", { "aria-label": "Pinned runs" });
  const caption = make("p", "rlkit-caption");
  stage.append(figure, ghosts, caption);

  // -- the transport
  const side = make("div", "rlkit-side");
  const runButton = make("button", "rlkit-button rlkit-run", { type: "button" });
  const stepButton = iconButton("step", "Step", face.sweeps ? "One notch further" : `One picture further (${face.every} update${face.every > 1 ? "s" : ""})`);
  const resetButton = iconButton("reset", "Reset", "Back to the start, with the settings as they stand here");
  const pinButton = iconButton("pin", "Pin", "Keep these curves as a grey ghost to compare with");
  const copyButton = iconButton("copy", "Copy", "Copy the line of Python that rebuilds this state");
  const transport = make("div", "rlkit-transport", { role: "toolbar", "aria-label": "Transport" });
  transport.append(...(face.plays ? [runButton, stepButton] : []), resetButton, pinButton, copyButton);
  const bar = make("div", "rlkit-bar", { role: "progressbar", "aria-label": "Progress", "aria-valuemin": "0" }, make("i"));
  const count = make("span", "rlkit-count");
  const speed = make("span", "rlkit-speed");
  const meter = make("div", "rlkit-meter", {}, bar, make("div", "rlkit-numbers", {}, count, speed));
  const status = make("div", "rlkit-status", { role: "status", "aria-live": "polite" });
  const trace = make("details", "rlkit-trace", { hidden: "" }, make("summary", "", {}, "Where it happened"), make("pre"));
  const deck = make("div", "rlkit-deck", {}, transport, ...(face.plays ? [meter] : []), status, trace);

  let playing = false;
  function paintRun() {
    const text = playing ? "Pause" : "Run";
    if (runButton.dataset.text === text) return;
    runButton.dataset.text = text;
    runButton.innerHTML = `${icon(playing ? "pause" : "run")}<span>${text}</span>`;
    runButton.title = playing ? "Pause within one picture" : face.sweeps ? "Slide along the range" : "Learn on from here";
  }
  paintRun();
  // What a click will do to the Run button is known at once; the next click must not mean the opposite.
  const press = (what) => {
    ask(what);
    playing = what === "run";
    paintRun();
  };
  runButton.onclick = () => press(playing ? "pause" : "run");
  stepButton.onclick = () => press("step");
  resetButton.onclick = () => press("reset");
  pinButton.onclick = () => ask("pin");
  copyButton.onclick = async () => ask("copied", { ok: await copyText(model.get("now")?.copy ?? "") });

  // -- presets
  const presets = make("div", "rlkit-presets", { role: "group", "aria-label": "Presets" });
  for (const name of face.presets) {
    const button = make("button", "rlkit-preset", { type: "button", "data-preset": name, "aria-pressed": "false" }, name);
    button.onclick = () => ask("preset", { name });
    presets.append(button);
  }

  // -- controls
  const help = make("p", "rlkit-help");
  const rest = "Point at a control to read what it does; double-click its name to put it back.";
  help.textContent = rest;
  const fields = {};
  const knobs = make("div", "rlkit-knobs");
  const more = make("details", "rlkit-more", {}, make("summary", "", {}, "More settings"));
  const moreKnobs = make("div", "rlkit-knobs");
  more.append(moreKnobs);
  face.controls.forEach((c, i) => {
    const field = makeField(c, view, face.sweeps, (message) => {
      asked[c.name] = ask("knob", { name: c.name, ...message });
    });
    fields[c.name] = field;
    const how = c.kind === "graph" ? ". Click an arc to switch it; drag a circle to change the order." : "";
    const says = `${c.symbol ? c.symbol + " · " : ""}${c.says || c.label}${how}`;
    const show = () => (help.textContent = says);
    const hide = () => (help.textContent = rest);
    for (const event of ["pointerenter", "focusin"]) field.node.addEventListener(event, show);
    for (const event of ["pointerleave", "focusout"]) field.node.addEventListener(event, hide);
    (i < face.front ? knobs : moreKnobs).append(field.node);
  });
  side.append(deck, ...(face.presets.length > 1 ? [presets] : []), knobs,
    ...(face.controls.length > face.front ? [more] : []), ...(face.controls.length ? [help] : []));

  const head = face.title ? [make("h3", "rlkit-title", {}, face.title)] : [];
  root.append(...head, make("div", "rlkit-body", {}, stage, side));
  el.append(root);

  // -- what the kernel says
  function tell(text, tone) {
    if (status.textContent !== text) status.textContent = text;
    status.dataset.tone = tone;
  }

  const picture = new Picture(figure, {
    painted: (frame) => {
      model.send({ do: "ack", view, frame });
      root.dataset.rlkitReady = "true";
    },
    failed: (error) => {
      console.warn("rlkit: the picture could not be drawn", error);
      tell(`The picture could not be drawn: ${error.message}`, "error");
      root.dataset.rlkitError = error.message;
      model.send({ do: "ack", view, frame: model.get("frame")?.n ?? 0 });
    },
  });

  let spoken = 0;
  function listen() {
    const now = model.get("now");
    if (!now) return;
    const heard = now.heard[view] ?? 0;
    if (heard >= seq) {
      clearTimeout(waiting);
      playing = now.state === "running";
      paintRun();
    }
    root.dataset.rlkitState = now.state;
    root.dataset.rlkitStep = now.step;
    root.dataset.rlkitError = now.error;
    if (heard >= seq || now.error || now.preparing) tell(now.status, now.tone);
    if (now.preparing) expect(5000); // it is at work, and says so every moment
    trace.hidden = !now.trace;
    if (now.trace !== trace.lastChild.textContent) trace.lastChild.textContent = now.trace;

    const known = now.total !== null && now.total > 0;
    bar.firstChild.style.width = known ? `${Math.min(100, (100 * now.step) / now.total)}%` : "";
    bar.classList.toggle("rlkit-endless", !known && now.state === "running");
    if (known) {
      bar.setAttribute("aria-valuemax", now.total);
      bar.setAttribute("aria-valuenow", now.step);
    }
    count.textContent = face.sweeps ? "" : known ? `${thin(now.step)} / ${thin(now.total)} steps` : `${thin(now.step)} steps`;
    const tick = performance.now();
    if (now.state !== "running" || tick - spoken > 400) {
      speed.textContent = now.speed > 0 && !face.sweeps ? `${rate(now.speed)} steps/s` : "";
      spoken = tick;
    }
    for (const button of presets.children) {
      button.setAttribute("aria-pressed", String(button.dataset.preset === now.preset));
    }
    let anyWaits = false;
    for (const [name, state] of Object.entries(now.knobs)) {
      fields[name].show(state, heard >= (asked[name] ?? 0));
      anyWaits ||= state.waits;
    }
    resetButton.classList.toggle("rlkit-due", anyWaits || now.state === "error");
    const marks = JSON.stringify(now.marks);
    if (marks !== JSON.stringify(picture.extra.marks)) {
      picture.extra.marks = now.marks;
      picture.redraw();
    }
  }

  function haunt() {
    const all = model.get("ghosts") ?? [];
    if (all === picture.extra.ghosts) return;
    picture.extra.ghosts = all;
    ghosts.replaceChildren(...all.map(({ key, label }) => {
      const off = make("button", "", { type: "button", "aria-label": `Remove ghost ${key}`, title: "Remove" }, "×");
      off.onclick = () => ask("unpin", { key });
      return make("span", "rlkit-ghost", {}, make("b", "", {}, key), label, off);
    }));
    picture.redraw();
  }

  function look() {
    const frame = model.get("frame");
    if (!frame) return;
    caption.textContent = frame.figure.layout?.meta?.says ?? "";
    picture.show(frame);
  }

  const on = { "change:now": listen, "change:ghosts": haunt, "change:frame": look };
  for (const [event, call] of Object.entries(on)) {
    model.on(event, call);
    call();
  }
  return () => {
    for (const [event, call] of Object.entries(on)) model.off(event, call);
    for (const call of clean) call();
    clearTimeout(waiting);
    picture.close();
    model.send({ do: "bye", view });
  };
}

/**
 * Arrows, Enter and letters belong to the control that has the focus; Lab would take them for its own. What is pressed
 * with Ctrl, Alt or Meta (save, say) stays with Lab. It asks the focused element only, and before anyone else can.
 */
function keepKeys(root) {
  const before = (event) => {
    if (!root.contains(event.target)) return;
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !(event.ctrlKey || event.metaKey || event.altKey));
  };
  addEventListener("keydown", before, true);
  return () => removeEventListener("keydown", before, true);
}

/** One control: {node, show(state, settled)}. `send` gets {position, drag} whenever it is moved. */
function makeField(c, view, sweeps, send) {
  const id = `rlkit-${view}-${c.name}`;
  const label = make("label", "rlkit-label", { for: id });
  const dot = make("span", "rlkit-dot", { title: "Not the paper's value; double-click the name to put it back" });
  label.append(dot, ...(c.symbol ? [make("b", c.symbol.length > 3 ? "rlkit-word" : "", {}, c.symbol)] : []), make("span", "rlkit-name", {}, c.label));
  const pill = make("span", "rlkit-pill", { id: `${id}-when` });
  const value = make("output", "rlkit-value", { for: id });
  const line = make("div", "rlkit-line", {}, label, ...(sweeps ? [] : [pill]));
  const node = make("div", `rlkit-field rlkit-${c.kind}`, { "data-knob": c.name }, line);
  const described = sweeps ? {} : { "aria-describedby": pill.id };
  const name = `${c.symbol} ${c.label}`.trim();
  const common = { id, title: c.says, ...described };
  let input, moved = 0, graph = null;
  let drag = Math.floor(Math.random() * 1e9);

  if (c.kind === "graph") {
    graph = graphField(id, name, send);
    input = graph.node;
    value.className = "rlkit-graph-value";
    node.append(input, value);
  } else if (c.kind === "choice") {
    input = make("select", "", common, ...c.texts.map((t, i) => make("option", "", { value: i }, t)));
    input.onchange = () => send({ position: Number(input.value) });
    line.append(input);
  } else if (c.kind === "switch") {
    input = make("input", "", { ...common, type: "checkbox", role: "switch" });
    input.onchange = () => send({ position: Number(input.checked) });
    line.append(input);
  } else if (c.kind === "seed") {
    input = make("input", "", { ...common, type: "number", min: c.low, max: c.high, step: 1 });
    const set = (v) => {
      input.value = Math.min(c.high, Math.max(c.low, Math.round(v)));
      send({ position: Number(input.value) });
    };
    input.onchange = () => set(Number(input.value) || 0);
    const dice = make("button", "rlkit-dice", { type: "button", "aria-label": "Another random seed", title: "Another seed" });
    dice.innerHTML = icon("dice");
    dice.onclick = () => set(c.low + Math.floor(Math.random() * (Math.min(c.high, c.low + 999) - c.low + 1)));
    line.append(input, dice);
  } else {
    input = make("input", "", { ...common, type: "range", min: 0, max: c.high, step: 1 });
    const track = make("div", "rlkit-track", {}, input);
    if (c.paper !== null && c.paper !== undefined) {
      const tick = make("i", "rlkit-tick", { "aria-hidden": "true" });
      tick.style.setProperty("--at", c.paper / Math.max(1, c.high));
      track.append(tick);
    }
    line.append(value);
    node.append(track);
    // One drag, or keys pressed in a row, is one change: its marker line stays where it began.
    input.oninput = () => {
      if (performance.now() - moved > 900) drag += 1;
      moved = performance.now();
      slideTo(Number(input.value), c.texts[Number(input.value)]);
      send({ position: Number(input.value), drag });
    };
  }
  input.classList.add(`rlkit-knob-${c.name}`);
  input.setAttribute("aria-label", name);
  label.title = "Double-click to put it back";
  label.addEventListener("dblclick", (event) => {
    event.preventDefault();
    send({ reset: true });
  });

  /** What a slider shows and says: the number, and its unit in small. */
  function slideTo(at, text) {
    const unit = c.unit && text.endsWith(` ${c.unit}`) ? c.unit : "";
    value.replaceChildren(text.slice(0, text.length - unit.length), ...(unit ? [make("small", "", {}, unit)] : []));
    input.setAttribute("aria-valuetext", text);
    input.style.setProperty("--at", at / Math.max(1, c.high));
  }

  function show(state, settled) {
    node.classList.toggle("rlkit-unlike", state.unlike);
    node.classList.toggle("rlkit-waits", state.waits);
    pill.textContent = state.waits ? "applies on Reset" : c.live ? "live" : "on Reset";
    pill.title = c.live ? "Acts on the next update" : "Applies on Reset";
    pill.dataset.live = c.live;
    if (!settled) return;
    if (graph) {
      graph.show(state, settled);
      value.textContent = state.text;
      return;
    }
    if (c.kind === "switch") input.checked = state.at === 1;
    else if (document.activeElement !== input || c.kind !== "seed") input.value = state.at;
    if (c.kind === "slider") slideTo(state.at, state.text);
  }
  return { node, show };
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", "", { readonly: "" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export default { render };
