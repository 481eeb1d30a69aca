/** `docs/benchmarks.svg`: a panel of bars for each charted metric. */

import { figure } from "./report.ts";
import type { Metric } from "./row.ts";
import { mediansOf, type RowResult } from "./run.ts";

const COLUMN_WIDTH = 410;
const COLUMNS = 2;
const GAP = 28;
const LABEL_WIDTH = 158;
const VALUE_WIDTH = 62;
const BAR_HEIGHT = 14;
const BAR_STEP = 21;
const HEAD_HEIGHT = 46;

/** Readable on white and on GitHub's dark grey; text follows the reader's theme. */
const STYLE = `
  text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 14px; }
  .unit { fill: #59636e; font-size: 11px; }
  .peer { fill: #9aa4af; }
  .ours { fill: #0f8a5f; }
  .strong { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .unit { fill: #9198a1; }
    .peer { fill: #656e78; }
    .ours { fill: #2fb681; }
  }`;

interface Panel {
  readonly metric: Metric;
  readonly bars: readonly (readonly [string, number])[];
}

/** Draws the charted metrics of the results; contenders that failed have no bar. */
export function chart(results: readonly RowResult[]): string {
  const panels = results.flatMap((result) =>
    result.row.metrics.filter(({ charted }) => charted).flatMap((metric) => {
      // How it would be without its Workers is no news to its users.
      const bars = [...mediansOf(result, metric.key)]
        .filter(([name]) => !name.startsWith("sockpipe, "));
      return bars.length === 0 ? [] : [{ metric, bars }];
    })
  );
  const drawn: string[] = [];
  let top = 0;
  for (let at = 0; at < panels.length; at += COLUMNS) {
    const line = panels.slice(at, at + COLUMNS);
    line.forEach((panel, column) => {
      const left = column * (COLUMN_WIDTH + GAP);
      drawn.push(drawPanel(panel, left, top));
    });
    top += Math.max(...line.map(panelHeight));
  }
  const width = COLUMNS * COLUMN_WIDTH + (COLUMNS - 1) * GAP;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" width="${width}" height="${top}" role="img" aria-label="sockpipe and its peers, measured">
<style>${STYLE}
</style>
${drawn.join("\n")}
</svg>
`;
}

function panelHeight({ bars }: Panel): number {
  return HEAD_HEIGHT + bars.length * BAR_STEP + GAP;
}

function drawPanel(panel: Panel, left: number, top: number): string {
  const { metric, bars } = panel;
  const sign = metric.better === "more" ? -1 : 1;
  const sorted = bars.toSorted(([, a], [, b]) => sign * (a - b));
  const most = Math.max(...bars.map(([, value]) => value));
  const lines = sorted.map(([name, value], index) =>
    drawBar(name, value, value / most, HEAD_HEIGHT + index * BAR_STEP)
  );
  return `<g transform="translate(${left} ${top})">
<text class="title" x="0" y="16">${escaped(metric.title)}</text>
<text class="unit" x="0" y="33">${
    escaped(metric.unit)
  }, ${metric.better} is better</text>
${lines.join("\n")}
</g>`;
}

function drawBar(
  name: string,
  value: number,
  share: number,
  y: number,
): string {
  const room = COLUMN_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const width = Math.max(1, share * room).toFixed(1);
  const [kind, weight] = name.startsWith("sockpipe")
    ? ["ours", "strong"]
    : ["peer", ""];
  const middle = y + BAR_HEIGHT - 3;
  const end = LABEL_WIDTH + Number(width) + 6;
  return `<text class="${weight}" x="${
    LABEL_WIDTH - 8
  }" y="${middle}" text-anchor="end">${escaped(name)}</text>
<rect class="${kind}" x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>
<text class="${weight}" x="${end.toFixed(1)}" y="${middle}">${
    figure(value)
  }</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
