//! The style of the page: light or dark as the reader prefers, from the width of a phone to that of a large screen.

pub(super) const STYLE: &str = "
:root{--text:#1f2328;--muted:#656d76;--line:#d8dee4;--ground:#f6f8fa;--card:#ffffff;--accent:#1f6feb;--good:#1a7f37;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--text:#e6edf3;--muted:#9aa4af;--line:#343b44;--ground:#0d1117;--card:#14181d;--accent:#6ea8fe;--good:#56d364;--bad:#ff8b82}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
main{max-width:1320px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:26px;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:18px;margin:0 0 10px}
section{margin-top:32px}
p{margin:0 0 10px;max-width:90ch;overflow-wrap:anywhere}
.lead{font-size:16px}
.note{color:var(--muted);font-size:13.5px}
a{color:var(--accent)}
.box{overflow:auto;max-height:80vh;border:1px solid var(--line);border-radius:8px;margin-bottom:10px;background:linear-gradient(to right,var(--card),transparent) 0 0/32px 100% no-repeat local,linear-gradient(to left,var(--card),transparent) 100% 0/32px 100% no-repeat local,linear-gradient(to right,var(--line),transparent) 0 0/12px 100% no-repeat,linear-gradient(to left,var(--line),transparent) 100% 0/12px 100% no-repeat var(--card)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th,td{padding:6px 9px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
th{white-space:normal;vertical-align:bottom;line-height:1.25;position:sticky;top:0;background:color-mix(in srgb,var(--card) 88%,transparent);color:var(--muted);font-weight:600;box-shadow:0 1px 0 var(--line)}
th.l,td.l{text-align:left}
td.wrap{white-space:pre-wrap;min-width:22em;overflow-wrap:anywhere}
tr.chosen td{border-top:1px solid var(--muted);font-style:italic}
tr.baseline td{background:color-mix(in srgb,var(--muted) 10%,transparent)}
td.note{white-space:normal;min-width:7em}
td.best{font-weight:700}
.verdict{display:inline-block;min-width:4.2em;text-align:center;padding:0 7px;border-radius:9px;border:1px solid currentColor;font-size:12.5px;font-weight:600;margin-right:6px}
.pcl{color:var(--good)}.ncl{color:var(--bad)}.equivalent{color:var(--accent)}.inconclusive,.untested,.muted{color:var(--muted)}
.inconclusive{border-style:dashed}.untested{border-color:transparent}
.warning{font-size:13.5px;border-left:3px solid var(--bad);padding-left:10px}
.charts{display:grid;gap:14px}
.charts.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr))}
.charts.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr))}
figure{margin:0;padding:10px;border:1px solid var(--line);border-radius:8px;background:var(--card);min-width:0}
figcaption{font-weight:600;font-size:14px;margin:0 2px 6px;overflow-wrap:anywhere}
figure svg{display:block;width:100%;height:auto}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 16px;margin:0 0 12px}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--accent);margin-bottom:8px}
@media (max-width:560px){main{padding:16px 12px 32px}dl{grid-template-columns:minmax(0,1fr)}dd{margin-bottom:6px}table{font-size:13px}th,td{padding:4px 6px}}
@media print{.box{max-height:none}figure,tr{break-inside:avoid}}
";
