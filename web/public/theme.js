// Runs before the first paint, so that a chosen theme does not flash the other one. The module comes later.
try {
  const theme = localStorage.getItem('ringlight.theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be blocked; the system's preference then decides.
}
