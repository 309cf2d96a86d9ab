// The book's pages: draws each recorded run with the panels' own Picture, and lets a reader scrub through it.

globalThis.rlkitPlotly = { ready: Promise.resolve(globalThis.Plotly) };

/** A recording stores each trace and each layout once; a frame names them. */
function frame({ traces, layouts, frames }, i) {
  const [layout, ...names] = frames[i];
  return { n: i + 1, figure: { data: names.map((k) => traces[k]), layout: layouts[layout] } };
}

function play(figure) {
  const run = JSON.parse(figure.querySelector("script").textContent);
  const [slider, button, caption] = [".scrub", ".play", "figcaption"].map((s) => figure.querySelector(s));
  const last = run.frames.length - 1;
  const failed = (error) => { caption.textContent = `The picture could not be drawn: ${error.message}`; };
  figure.querySelector("img")?.remove();
  const picture = new Picture(figure.querySelector(".picture"), { failed });
  const show = (i) => {
    const shown = frame(run, i);
    picture.show(shown);
    caption.textContent = shown.figure.layout.meta?.says ?? "";
    figure.dataset.frame = i;
    if (slider) {
      slider.value = i;
      slider.setAttribute("aria-valuetext", `picture ${i + 1} of ${last + 1}`);
    }
  };
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶ Play";
  };
  slider?.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button?.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === last) show(0);
    button.textContent = "❚❚ Pause";
    timer = setInterval(() => (Number(slider.value) < last ? show(Number(slider.value) + 1) : stop()), 200);
  });
  figure.querySelector(".controls")?.removeAttribute("hidden");
  show(run.first);
}

for (const figure of document.querySelectorAll("figure.recording")) play(figure);
document.documentElement.dataset.ready = "1";
