// The graph control: agents on a line, an arc for every edge that could be. Forward edges arch above, backward ones
// below; a click (or Enter, or Space) switches an edge; an agent dragged along the line (or moved with the arrow keys)
// takes its edges with it, turned to follow the new order. A graph with a cycle is drawn in red and asked for all the
// same: the kernel refuses it in words, and the last valid graph goes on.

const GAP = 74, EDGE = 38, RISE = 17; // between two agents, from the border, height of an arc per step it spans

function svg(tag, className = "", attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (className) node.setAttribute("class", className);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  return node;
}

/** Edges [[parent, child], ...] that lie on a cycle: their child leads back to their parent. */
function onCycle(edges) {
  const leads = (from, to, seen = new Set()) =>
    from === to || (!seen.has(from) && seen.add(from) && edges.some(([p, c]) => p === from && leads(c, to, seen)));
  return edges.filter(([p, c]) => leads(c, p));
}

/** Parents before children, the smallest number first; what is on a cycle comes last. */
function inOrder(n, edges) {
  const order = [];
  const ready = (i) => !order.includes(i) && edges.every(([p, c]) => c !== i || order.includes(p));
  for (let next = 0; next !== undefined; ) {
    next = [...Array(n).keys()].find(ready);
    if (next !== undefined) order.push(next);
  }
  return [...order, ...[...Array(n).keys()].filter((i) => !order.includes(i))];
}

/** {node, show(state, settled)} of a graph; `send` gets {position: edges} whenever an edge is switched or turned. */
function graphField(id, name, send) {
  const picture = svg("svg", "rlkit-graph", { id, role: "group", "aria-label": name });
  let n = 0, order = [], edges = [], known = "", dragged = null;
  let arcs = [], agents = [];

  const has = (p, c) => edges.some((e) => e[0] === p && e[1] === c);
  const at = (i) => EDGE + GAP * order.indexOf(i);

  function build() {
    const up = 24 + RISE * (n - 1), width = 2 * EDGE + GAP * (n - 1);
    picture.setAttribute("viewBox", `0 ${-up} ${width} ${2 * up}`);
    picture.style.maxWidth = `${Math.round(width * 1.15)}px`;
    arcs = [];
    for (let p = 0; p < n; p++) for (let c = 0; c < n; c++) if (p !== c) {
      const node = svg("g", "rlkit-edge", { role: "switch", tabindex: "0", "data-edge": `${p}-${c}` });
      node.append(svg("path", "rlkit-hit"), svg("path", "rlkit-arc"), svg("path", "rlkit-head", { d: "M-8 -4.5 L1 0 L-8 4.5 Z" }));
      arcs.push({ p, c, node });
    }
    agents = Array.from({ length: n }, (_, i) => {
      const node = svg("g", "rlkit-agent", { tabindex: "0", role: "slider", "data-agent": i, "aria-valuemin": 1, "aria-valuemax": n });
      const text = svg("text");
      text.textContent = i;
      node.append(svg("circle", "", { r: 13 }), text);
      return node;
    });
  }

  function paint(pointer = null) {
    const bad = onCycle(edges);
    for (const { p, c, node } of arcs) {
      const [from, to] = [at(p), at(c)];
      const forward = from < to, span = Math.abs(to - from) / GAP, height = (forward ? -1 : 1) * (14 + 2 * RISE * span);
      const lean = (forward ? 1 : -1) * 11, y = forward ? -10 : 10; // the ends stand beside the top of the circles
      const d = `M${from + lean} ${y} Q${(from + to) / 2} ${height} ${to - lean} ${y}`;
      const on = has(p, c);
      for (const path of [node.children[0], node.children[1]]) path.setAttribute("d", d);
      const slope = (Math.atan2(y - height, to - lean - (from + to) / 2) * 180) / Math.PI;
      node.children[2].setAttribute("transform", `translate(${to - lean} ${y}) rotate(${slope})`);
      node.setAttribute("aria-checked", String(on));
      node.setAttribute("aria-label", `edge from agent ${p} to agent ${c}`);
      node.classList.toggle("rlkit-on", on);
      node.classList.toggle("rlkit-bad", on && bad.some((e) => e[0] === p && e[1] === c));
      node.dataset.span = span;
    }
    agents.forEach((node, i) => {
      node.setAttribute("transform", `translate(${i === dragged && pointer !== null ? pointer : at(i)} 0)`);
      node.setAttribute("aria-label", `agent ${i}, place in the order`);
      node.setAttribute("aria-valuenow", order.indexOf(i) + 1);
      node.setAttribute("aria-valuetext", `agent ${i} acts as number ${order.indexOf(i) + 1} of ${n}`);
    });
    const drawn = [...arcs].sort((a, b) => b.node.dataset.span - a.node.dataset.span).map((a) => a.node); // short arcs on top
    const wanted = [...drawn, ...agents];
    if (dragged === null && wanted.some((node, k) => picture.children[k] !== node)) {
      const focus = document.activeElement; // moving a node in the page takes its focus
      picture.replaceChildren(...wanted);
      if (picture.contains(focus)) focus.focus();
    }
  }

  function ask() {
    edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    paint();
    send({ position: edges });
  }

  function toggle(p, c) {
    edges = has(p, c) ? edges.filter((e) => e[0] !== p || e[1] !== c) : [...edges.filter((e) => e[0] !== c || e[1] !== p), [p, c]];
    ask();
  }

  /** Agent i takes place k in the order; every edge turns so that the earlier agent is the parent. */
  function place(i, k) {
    const before = JSON.stringify(order);
    order = order.filter((j) => j !== i);
    order.splice(Math.max(0, Math.min(n - 1, k)), 0, i);
    return JSON.stringify(order) !== before;
  }
  function follow() {
    const before = JSON.stringify(edges);
    edges = edges.map(([p, c]) => (order.indexOf(p) < order.indexOf(c) ? [p, c] : [c, p]));
    edges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    if (JSON.stringify(edges) === before) paint();
    else ask();
  }

  const edgeOf = (event) => event.target.closest("[data-edge]")?.dataset.edge.split("-").map(Number);
  const agentOf = (event) => event.target.closest("[data-agent]")?.dataset.agent;
  const along = (event) => {
    const box = picture.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * (2 * EDGE + GAP * (n - 1));
  };
  picture.addEventListener("click", (event) => edgeOf(event) && toggle(...edgeOf(event)));
  picture.addEventListener("keydown", (event) => {
    const edge = edgeOf(event), agent = agentOf(event);
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (edge && (event.key === "Enter" || event.key === " ")) toggle(...edge);
    else if (agent !== undefined && step) {
      if (place(Number(agent), order.indexOf(Number(agent)) + step)) follow();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  picture.addEventListener("pointerdown", (event) => {
    if (agentOf(event) === undefined) return;
    dragged = Number(agentOf(event));
    picture.setPointerCapture(event.pointerId);
    agents[dragged].focus();
    event.preventDefault();
  });
  picture.addEventListener("pointermove", (event) => {
    if (dragged === null) return;
    place(dragged, Math.round((along(event) - EDGE) / GAP));
    paint(Math.max(EDGE, Math.min(EDGE + GAP * (n - 1), along(event))));
  });
  const drop = () => {
    if (dragged === null) return;
    dragged = null;
    follow();
  };
  picture.addEventListener("pointerup", drop);
  picture.addEventListener("pointercancel", drop);

  function show(state, settled) {
    if (!settled || dragged !== null) return;
    const told = JSON.stringify([state.nodes, state.at]);
    if (told === known && onCycle(edges).length) return; // refused: it stays on screen, in red, until mended
    known = told;
    edges = state.at.map((e) => [...e]);
    if (state.nodes !== n) {
      n = state.nodes;
      build();
      order = inOrder(n, edges);
    } else if (edges.some(([p, c]) => order.indexOf(p) > order.indexOf(c)) && !edges.some(([p, c]) => !order.includes(p) || !order.includes(c))) {
      const straight = inOrder(n, edges);
      if (edges.every(([p, c]) => straight.indexOf(p) < straight.indexOf(c))) order = straight;
    }
    paint();
  }
  return { node: picture, show };
}
