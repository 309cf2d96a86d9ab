// Unpacks plotly.js and evaluates it once per page, however many kernels and notebooks the page shows.
// It runs as soon as the widget's state arrives and asks the kernel for nothing.

function plotlySlot() {
  if (!globalThis.rlkitPlotly) {
    const slot = {};
    slot.ready = new Promise((resolve, reject) => Object.assign(slot, { resolve, reject }));
    slot.ready.catch(() => {}); // whoever draws reports it
    globalThis.rlkitPlotly = slot;
  }
  return globalThis.rlkitPlotly;
}

async function load(packed) {
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(unpacked).blob(); // not text: five megabytes need not pass through a string
  const script = document.createElement("script");
  const before = globalThis.Plotly;
  script.src = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  await new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new Error("the browser refused to run plotly.js"));
    document.head.appendChild(script);
  });
  URL.revokeObjectURL(script.src);
  script.remove();
  const ours = globalThis.Plotly;
  if (!ours || !ours.react) throw new Error("plotly.js did not start");
  if (before) globalThis.Plotly = before; // leave the page's own as it was
  return ours;
}

function initialize({ model }) {
  const slot = plotlySlot();
  if (slot.started) return;
  slot.started = true;
  load(model.get("packed")).then(slot.resolve, slot.reject);
}

export default { initialize };
