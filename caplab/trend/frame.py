"""The frame of the page: legend, style, script. Colours follow the system's light or dark."""

from __future__ import annotations


def framed(body: str) -> str:
    """Return the whole document."""
    return _DOCUMENT.format(style=_STYLE, script=_SCRIPT, body=body)


LEGEND = """<p class="legend">
<span><svg viewBox="0 0 14 12"><circle class="dot valid" cx="7" cy="6" r="3.5"/></svg> as promised</span>
<span><svg viewBox="0 0 14 12"><path class="dot invalid" d="M2.5 10h9l-4.5 -8z"/></svg> promise broken</span>
<span><svg viewBox="0 0 14 12"><circle class="dot unknown" cx="7" cy="6" r="3.5"/></svg> proves nothing</span>
<span><svg viewBox="0 0 22 12"><polyline class="limit" points="0,6 22,6"/></svg> bound</span>
<span><svg viewBox="0 0 14 12"><g class="mark"><line x1="7" x2="7" y1="0" y2="12"/></g></svg> changed</span></p>"""

_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>caplab trend</title>
<style>{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""

_STYLE = """
:root { --ink: #1f2328; --muted: #57606a; --faint: #d8dee4; --page: #f6f8fa; --card: #ffffff; --valid: #0969da;
  --invalid: #cf222e; --unknown: #9a6700; --limit: #bc4c00; --mark: #8250df; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --muted: #9198a1; --faint: #30363d; --page: #0d1117; --card: #161b22; --valid: #58a6ff;
    --invalid: #ff7b72; --unknown: #d29922; --limit: #f0883e; --mark: #bc8cff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 16px; max-width: 1500px; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 24px 0 8px; } p { margin: 4px 0; }
.muted { color: var(--muted); font-weight: normal; font-size: 13px; overflow-wrap: anywhere; }
.valid { color: var(--valid); } .invalid { color: var(--invalid); } .unknown { color: var(--unknown); }
.legend { font-size: 13px; } .legend svg { height: 12px; vertical-align: -1px; }
.legend span { white-space: nowrap; margin-right: 10px; }
input { font: inherit; padding: 4px 8px; border: 1px solid var(--faint); border-radius: 6px; background: var(--card);
  color: var(--ink); max-width: 100%; }
.row, .unread { background: var(--card); border: 1px solid var(--faint); border-radius: 8px; margin: 8px 0;
  padding: 8px 12px; }
summary { cursor: pointer; overflow-wrap: anywhere; } .name { font-weight: 600; }
.badge { border: 1px solid currentColor; border-radius: 10px; padding: 0 7px; font-size: 12px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 8px 16px;
  margin-top: 8px; }
figure { margin: 0; min-width: 0; display: flex; flex-direction: column; }
figcaption { font-size: 14px; flex: 1; } figure svg { width: 100%; display: block; }
.readout { font-size: 12px; min-height: 36px; color: var(--muted); overflow-wrap: anywhere; }
.flat { font-size: 13px; } .marks { font-size: 13px; margin: 6px 0; padding-left: 28px; overflow-wrap: anywhere; }
.marks li::marker { color: var(--mark); font-weight: 600; } .older { font-size: 13px; }
.grid { stroke: var(--faint); stroke-width: 1; }
.tick { fill: var(--muted); font-size: 11px; } .end { text-anchor: end; }
.path { fill: none; stroke: var(--valid); stroke-opacity: .45; stroke-width: 1.5; }
.limit { fill: none; stroke: var(--limit); stroke-dasharray: 5 3; stroke-width: 1.2; }
.mark line { stroke: var(--mark); stroke-dasharray: 2 2; }
.mark text { fill: var(--mark); font-size: 11px; text-anchor: middle; }
circle.valid { fill: var(--valid); } path.invalid { fill: var(--invalid); }
circle.unknown { fill: var(--card); stroke: var(--unknown); stroke-width: 1.5; }
.chosen { stroke: var(--ink); stroke-width: 2; }
[hidden] { display: none; }
"""

# The point nearest to the pointer, or the finger, is described below its chart; rows are filtered by name.
_SCRIPT = """
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg"), readout = figure.querySelector(".readout");
  const dots = [...svg.querySelectorAll("[data-text]")];
  const show = event => {
    let best = null, least = Infinity;
    for (const dot of dots) {
      const box = dot.getBoundingClientRect();
      const away = Math.abs(event.clientX - (box.left + box.right) / 2);
      if (away < least) { least = away; best = dot; }
    }
    for (const dot of dots) dot.classList.toggle("chosen", dot === best);
    readout.textContent = best ? best.dataset.text : "";
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
}
const filter = document.getElementById("filter");
filter.addEventListener("input", () => {
  const wanted = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    let shown = 0;
    for (const row of section.querySelectorAll(".row")) {
      row.hidden = !wanted.every(word => row.dataset.name.includes(word));
      shown += !row.hidden;
    }
    section.hidden = !shown;
  }
});
"""
