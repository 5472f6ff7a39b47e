// Before the first paint: sets the stored theme, if any. A browser that blocks all cookies denies
// the page its storages too; then what would be kept there is forgotten with the page.
for (const name of ["localStorage", "sessionStorage"]) {
  try {
    void window[name];
  } catch {
    const items = new Map();
    const value = {
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, text) => items.set(key, text),
      removeItem: (key) => items.delete(key),
    };
    Object.defineProperty(window, name, { value });
  }
}
{
  const kept = localStorage.getItem("gram-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
}
