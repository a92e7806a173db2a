"""What the page of a comparison looks like, beyond the looks of every page."""

SHEET = """
.verdict { margin-top: 18px; max-width: 74ch; }
.verdict b { font-weight: 650; }
.forest { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 20px 10px; }
.line { display: grid; grid-template-columns: minmax(120px, 200px) 1fr minmax(128px, max-content); gap: 0 16px;
  align-items: center; }
.line .name { overflow-wrap: anywhere; font-size: 14px; padding: 4px 0; }
.line.strong .name { font-weight: 650; }
.line .name small { color: var(--quiet); margin-right: 7px; display: inline-block; min-width: 1.3em;
  text-align: right; }
.line .told { font-size: 13px; text-align: right; white-space: nowrap; width: 168px; }
.line .told span { color: var(--quiet); }
.track { position: relative; align-self: stretch; min-height: 28px; }
.track i { position: absolute; }
.track .grid { top: 0; bottom: 0; width: 1px; background: var(--line); }
.track .mark { top: 0; bottom: 0; width: 0; border-left: 1.5px dashed var(--wrong); opacity: 0.75; }
.track .span { top: calc(50% - 3px); height: 6px; min-width: 3px; border-radius: 3px; opacity: 0.4; }
.track .dot { top: calc(50% - 5px); width: 10px; height: 10px; margin-left: -5px; border-radius: 50%;
  box-shadow: 0 0 0 2px var(--card); }
.track .seed { top: calc(50% - 2.5px); width: 5px; height: 5px; margin-left: -2.5px; border-radius: 50%;
  border: 1px solid; background: var(--card); }
.scale { position: relative; height: 20px; color: var(--quiet); font-size: 12px; }
.scale span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.scatters { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px;
  margin-top: 14px; }
figure svg text { font-size: 10.5px; fill: var(--quiet); }
figure svg text.axis { fill: var(--ink); font-size: 11.5px; }
figure svg text.number { fill: var(--ink); font-size: 9.5px; font-weight: 600; text-anchor: middle; }
.heat { width: auto; min-width: 60%; border-collapse: separate; border-spacing: 3px; font-size: 13px; padding: 10px; }
.heat th { font-weight: 500; text-align: right; padding: 2px 10px 2px 4px; white-space: nowrap; }
.heat thead th { text-align: center; padding: 4px 6px 8px; white-space: normal; vertical-align: bottom; }
.heat td { text-align: center; padding: 5px 10px; min-width: 62px; border-radius: 5px; }
.heat td.none { background: none; }
.heat td.strong { color: var(--card); font-weight: 600; }
.note { margin-top: 12px; max-width: 80ch; }
.figures tbody th { min-width: 150px; }
@media (max-width: 640px) {
  main { padding: 24px 14px 48px; }
  .line { grid-template-columns: 1fr auto; padding: 5px 0; }
  .line .track, .line .scale { grid-column: 1 / -1; grid-row: 2; }
  .line .told { width: auto; }
  .foot-line { padding: 0; }
  .forest { padding: 10px 16px 8px; }
}
"""
