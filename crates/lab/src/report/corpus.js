(function () {
  const { read, chart, liquidated } = seawall;

  // The widest of all prices over the narrowest: where a feed was a thousand times off, a linear axis shows nothing else.
  function reach(market) {
    let low = Infinity, high = 0;
    for (const source of market.sources) for (const p of source.p) if (p > 0) { low = Math.min(low, p); high = Math.max(high, p); }
    return high > 0 ? high / low : 1;
  }

  // One chapter's chart; its data is read when it is first near the screen.
  function chapter(section) {
    const target = section.querySelector(".chart");
    const market = section.querySelector("select.market"), axis = section.querySelector("select.axis"), range = section.querySelector("select.range");
    let data = null;
    function show() {
      if (!data) return;
      chart(target, data, { log: axis.value === "log", near: range.value === "index" });
      section.querySelector(".liquidations").textContent = liquidated(data);
    }
    function choose() {
      data = read("data-" + section.id + "-" + (market ? market.value : "0"));
      axis.value = reach(data) > 4 ? "log" : "linear";
      show();
    }
    if (market) market.addEventListener("change", choose);
    for (const select of [axis, range]) select.addEventListener("change", show);
    return () => { if (!data) choose(); };
  }

  const chapters = new Map([...document.querySelectorAll("section.incident")].map((section) => [section, chapter(section)]));
  const watch = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      watch.unobserve(target);
      chapters.get(target)();
    }
  }, { rootMargin: "900px 0px" });
  for (const section of chapters.keys()) watch.observe(section);
  window.addEventListener("beforeprint", () => { for (const draw of chapters.values()) draw(); });
})();
