(() => {
  "use strict";
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  const plain = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
  const entries = [...document.querySelectorAll("nav li")].map((item) => {
    const link = item.firstElementChild;
    return { item, link, name: plain(link.textContent), text: plain(`${link.textContent} ${item.dataset.words}`) };
  });
  const visible = () => entries.filter((entry) => !entry.item.hidden);

  const filter = () => {
    const words = plain(search.value).split(/\s+/).filter(Boolean);
    for (const entry of entries) entry.item.hidden = !words.every((word) => entry.text.includes(word));
    for (const section of document.querySelectorAll("nav section")) {
      section.hidden = !section.querySelector("li:not([hidden])");
    }
    count.textContent = words.length ? `${visible().length} of ${entries.length}` : "";
  };

  const mark = () => {
    for (const { link } of entries) {
      if (link.hash === location.hash) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };

  const best = () => {
    const word = plain(search.value.trim());
    const shown = visible();
    return shown.find((entry) => entry.name === word) || shown.find((entry) => entry.name.includes(word)) || shown[0];
  };

  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && visible().length) best().link.click();
    else if (event.key === "ArrowDown" && visible().length) visible()[0].link.focus();
    else if (event.key === "Escape") { search.value = ""; filter(); }
    else return;
    event.preventDefault();
  });
  document.querySelector("nav").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const shown = visible();
    const at = shown.findIndex((entry) => entry.link === document.activeElement) + step;
    (at < 0 ? search : (shown[at] || shown[shown.length - 1]).link).focus();
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target === search) return;
    search.focus();
    event.preventDefault();
  });
  addEventListener("hashchange", () => {
    mark();
    document.querySelector("article:target h2")?.focus({ preventScroll: true });
  });
  mark();
})();
