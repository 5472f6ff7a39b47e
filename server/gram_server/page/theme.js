// Before anything is drawn: the theme that was chosen here earlier, where one was.
{
  const kept = localStorage.getItem("gram-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
}
