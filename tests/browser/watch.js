// Measures one panel from inside the page: what is painted when, and how long a touch takes to be seen.
window.rlkitWatch = (i) => {
  const root = document.querySelectorAll(".rlkit-panel")[i];
  const plot = root.querySelector(".rlkit-plot");
  const painted = []; // [time, frame]
  let lag = 0;
  const see = new MutationObserver((all) => {
    const { rlkitFrame, rlkitReceived } = plot.dataset;
    lag = Math.max(lag, Number(rlkitReceived) - Number(rlkitFrame ?? 0));
    if (all.some((m) => m.attributeName === "data-rlkit-frame")) painted.push([performance.now(), Number(rlkitFrame)]);
  });
  see.observe(plot, { attributes: true, attributeFilter: ["data-rlkit-frame", "data-rlkit-received"] });
  const until = (test, ms) => new Promise((done, fail) => {
    const start = performance.now();
    const look = () => {
      if (test()) done(performance.now());
      else if (performance.now() - start > ms) fail(new Error("nothing happened in " + ms + " ms: " + test));
      else setTimeout(look, 2);
    };
    look();
  });
  const status = () => root.querySelector(".rlkit-status").textContent;
  return {
    painted,
    get lag() { return lag; },
    /** Frames a second over some seconds. */
    async rate(seconds) {
      const before = painted.length;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      return (painted.length - before) / seconds;
    },
    /** Move a slider to a position; milliseconds until a picture is painted that the kernel drew after the move. */
    async move(name, position) {
      const knob = root.querySelector(".rlkit-knob-" + name);
      const before = status();
      const start = performance.now();
      knob.value = position;
      knob.dispatchEvent(new Event("input", { bubbles: true }));
      if (root.dataset.rlkitState === "running") {
        await until(() => status() !== before, 20000); // the kernel's answer: from now on it counts
        const heard = performance.now();
        await until(() => painted.at(-1)?.[0] > heard, 20000);
      } else await until(() => painted.at(-1)?.[0] > start, 20000);
      return performance.now() - start;
    },
    /** Press a button; milliseconds until the panel is in a state. */
    async press(button, state) {
      const start = performance.now();
      root.querySelector(button).click();
      return (await until(() => root.dataset.rlkitState === state, 20000)) - start;
    },
  };
};
undefined; // Playwright would call a function that it is given
