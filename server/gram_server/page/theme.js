// Sets the stored theme, if any, before the first paint.
{
  const kept = localStorage.getItem("gram-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
}
