"""The page's looks: quiet, wide enough to read, light or dark as the reader's own."""

SHEET = """
:root {
  color-scheme: light dark;
  --ink: #1c2430; --quiet: #667085; --paper: #f6f7f9; --card: #ffffff; --line: #e3e7ed;
  --accent: #2f6fde; --wrong: #d9622b; --track: #e9edf3;
  --c1: #2f6fde; --c2: #d9622b; --c3: #22937a; --c4: #9b51c9; --c5: #c0376f; --c6: #8a7a1c;
  --c7: #3f8fb0; --c8: #6b7280;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e9ef; --quiet: #98a2b3; --paper: #10141b; --card: #181e27; --line: #2a323e;
    --accent: #6da2ff; --wrong: #ff9a66; --track: #262e3a;
    --c1: #6da2ff; --c2: #ff9a66; --c3: #4fc9ac; --c4: #c792ea; --c5: #f27ba5; --c6: #d6c35c;
    --c7: #7cc7e6; --c8: #9aa4b2;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { margin: 0 0 16px; font-size: 19px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
p { margin: 0; }
section { margin-top: 48px; }
.over { color: var(--quiet); font-size: 13px; letter-spacing: 0.02em; }
.facts { margin-top: 6px; color: var(--quiet); }
.quiet { color: var(--quiet); font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 16px; margin-top: 28px; }
.card, figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px;
  margin: 0; }
.card .bar { margin: 10px 0 6px; }
.big { font-size: 34px; font-weight: 650; line-height: 1.25; letter-spacing: -0.02em; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; }
figcaption { font-weight: 600; font-size: 14px; margin-bottom: 8px; }
svg { display: block; width: 100%; height: auto; color: var(--quiet); stroke-linejoin: round; stroke-linecap: butt; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 8px; font-size: 13px; }
.legend span { overflow-wrap: anywhere; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
.pair { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
.pair > .scroll { flex: 1 1 430px; min-width: 0; }
.pair > figure { flex: 1 1 400px; min-width: 0; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
figure .scroll { border: 0; border-radius: 0; }
details { margin-top: 20px; }
summary { cursor: pointer; font-weight: 600; font-size: 14px; margin-bottom: 10px; }
figure details { margin-top: 14px; }
figure summary { font-weight: 400; color: var(--quiet); font-size: 13px; margin: 0; }
ol { margin: 8px 0 0; padding-left: 22px; font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
.figures th, .figures td, .words th, .words td { padding: 7px 14px; text-align: left; border-top: 1px solid var(--line);
  vertical-align: middle; }
.figures td { text-align: right; white-space: nowrap; }
.figures thead th:not(:first-child) { text-align: right; }
thead th { color: var(--quiet); font-weight: 500; font-size: 12.5px; border-top: 0 !important; white-space: nowrap; }
tbody th { font-weight: 500; }
th small { display: block; color: var(--quiet); font-weight: 400; }
.figures .value { font-weight: 650; }
.figures .wide { width: 26%; min-width: 110px; }
.bar { position: relative; height: 6px; border-radius: 3px; background: var(--track); }
.bar i { position: absolute; top: 0; height: 100%; border-radius: 3px; }
.bar .fill { left: 0; background: var(--accent); opacity: 0.55; }
.bar .span { top: -3px; height: 12px; min-width: 2px; background: var(--accent); opacity: 0.75; }
.bar .mark { top: -4px; height: 14px; width: 2px; background: var(--wrong); border-radius: 0; }
.confusion { width: auto; margin: 0 auto; font-size: 12.5px; border-collapse: separate; border-spacing: 2px; }
.confusion td { min-width: 30px; height: 30px; padding: 0 5px; text-align: center; border-radius: 4px;
  background: var(--track); }
.confusion td.none { color: transparent; }
.confusion td.strong { color: var(--card); font-weight: 600; }
.confusion tbody th { padding-right: 8px; text-align: right; white-space: nowrap; max-width: 160px; overflow: hidden;
  text-overflow: ellipsis; font-size: 12.5px; }
.confusion thead th { vertical-align: bottom; padding: 0 0 6px; text-align: center; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 120px; overflow: hidden;
  text-overflow: ellipsis; }
.chip { display: inline-block; padding: 1px 9px; margin: 1px 6px 1px 0; border-radius: 99px; background: var(--track);
  font-size: 12.5px; font-weight: 500; color: var(--ink); }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); gap: 16px;
  align-items: start; }
.signal { margin-top: 14px; }
.signal > :not(.chip) { margin-top: 6px; }
.signal img { display: block; max-width: 100%; border-radius: 8px; }
.signal .frames { display: grid; grid-template-columns: repeat(4, 1fr); gap: 4px; }
.signal .frames img { width: 100%; }
.signal img.pixels { width: 160px; image-rendering: pixelated; }
.signal img.spectrogram { width: 100%; height: 110px; margin-top: 4px; }
audio { display: block; width: 100%; height: 36px; margin: 8px 0 4px; }
blockquote { margin: 6px 0 0; padding: 8px 12px; border-left: 3px solid var(--accent); background: var(--paper);
  border-radius: 0 8px 8px 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 220px; overflow-y: auto; }
.card .words th, .card .words td { padding: 4px 8px; font-size: 13px; overflow-wrap: anywhere; }
.foot { display: flex; justify-content: space-between; gap: 12px; margin-top: 14px; overflow-wrap: anywhere; }
.foot span { white-space: nowrap; }
@media print { body { background: none; } section { break-inside: avoid; } }
"""
