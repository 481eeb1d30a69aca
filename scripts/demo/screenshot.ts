/**
 * Makes docs/screenshot.svg, an animated picture of two terminals, out of a real
 * run: the connecting side is started first, waits for the listener, and sends a
 * file with one secret on both sides, --progress and --limit-rate.
 *
 * Needs script(1), for a terminal, and port 32000 of this machine. A viewer that
 * does not animate shows the end.
 */

// deno-lint-ignore-file no-control-regex -- terminals are steered by them.

import { createSecretFile } from "../../lib/tls/secret_file.ts";
import { programCommand } from "../program.ts";

const COLUMNS = 96;
const CELL = { width: 8.4, height: 19 };
const PADDING = 14;
const TITLE_HEIGHT = 30;
const GAP = 16;
const FILE_BYTES = 12 * 1024 * 1024;
const COLORS: Record<string, string> = { "2": "#7f849c", "32": "#a6e3a1" };
const FOREGROUND = "#cdd6f4";

/** The text of one row of a terminal, and its time, in seconds. */
interface Shown {
  readonly row: number;
  readonly text: string;
  readonly from: number;
  to: number;
}

/** A terminal that knows as much as sockpipe uses of one. */
class Terminal {
  readonly shown: Shown[] = [];
  readonly #startedAt: number;
  #rows: string[] = [""];

  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  get rowCount(): number {
    return this.#rows.length;
  }

  /** Takes what a program writes, as it comes. */
  write(text: string): void {
    // A newline first goes to the beginning of the row, which erases nothing.
    for (const piece of text.replaceAll("\r\n", "\n").split(/(\n|\r\x1b\[K)/)) {
      const last = this.#rows.length - 1;
      if (piece === "\n") this.#rows.push("");
      else if (piece.startsWith("\r")) this.#rows[last] = "";
      else this.#rows[last] += piece;
    }
    const now = (performance.now() - this.#startedAt) / 1000;
    for (const [row, text] of this.#rows.entries()) {
      const before = this.shown.findLast((shown) => shown.row === row);
      if (before?.text === text || before === undefined && text === "") {
        continue;
      }
      if (before !== undefined) before.to = now;
      this.shown.push({ row, text, from: now, to: Infinity });
    }
  }
}

/** Runs a command line on a terminal, as if it had been typed there. */
async function type(
  terminal: Terminal,
  command: string,
  env: Record<string, string>,
): Promise<void> {
  terminal.write(`$ ${command}\n`);
  const child = new Deno.Command("script", {
    args: ["-qec", `stty cols ${COLUMNS}; ${command}`, "/dev/null"],
    env: { ...env, SHELL: "/bin/bash", TERM: "xterm", LC_ALL: "C.UTF-8" },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const decoder = new TextDecoderStream();
  for await (const text of child.stdout.pipeThrough(decoder)) {
    terminal.write(text);
  }
  const { code } = await child.status;
  terminal.write("$ echo $?\n");
  terminal.write(`${code}`);
}

function svg(panes: readonly { title: string; terminal: Terminal }[]): string {
  const width = COLUMNS * CELL.width + 2 * PADDING;
  let top = 0;
  const parts = panes.map(({ title, terminal }) => {
    const height = TITLE_HEIGHT + terminal.rowCount * CELL.height + PADDING;
    const part = `<g transform="translate(0 ${top})">
<rect width="${width}" height="${height}" rx="8" fill="#1e1e2e"/>
<text x="${PADDING}" y="20" fill="#7f849c">${escaped(title)}</text>
${terminal.shown.map(row).join("\n")}
</g>`;
    top += height + GAP;
    return part;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${
    top - GAP
  }" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<!-- Made by scripts/screenshot.ts from a real run. -->
${parts.join("\n")}
</svg>
`;
}

function row({ row, text, from, to }: Shown): string {
  const y = TITLE_HEIGHT + (row + 0.8) * CELL.height;
  const last = to === Infinity;
  const begin = from.toFixed(2);
  const during = last
    ? `<set attributeName="opacity" to="0" begin="0s" dur="${begin}s"/>`
    : `<set attributeName="opacity" to="1" begin="${begin}s" dur="${
      (to - from).toFixed(2)
    }s"/>`;
  return `<g opacity="${last ? 1 : 0}">${spans(text, y)}${
    from < 0.01 && last ? "" : during
  }</g>`;
}

/** One text element for each run of a color, placed by its column. */
function spans(text: string, y: number): string {
  let column = 0;
  let color = FOREGROUND;
  let result = "";
  for (const piece of text.split(/(\x1b\[\d*m)/)) {
    const code = /^\x1b\[(\d*)m$/.exec(piece)?.[1];
    if (code !== undefined) {
      color = COLORS[code] ?? FOREGROUND;
    } else if (piece !== "") {
      const x = (PADDING + column * CELL.width).toFixed(1);
      const length = (piece.length * CELL.width).toFixed(1);
      result += `<text x="${x}" y="${
        y.toFixed(1)
      }" textLength="${length}" xml:space="preserve" fill="${color}">${
        escaped(piece)
      }</text>`;
      column += piece.length;
    }
  }
  return result;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

const folder = await Deno.makeTempDir({ prefix: "sockpipe-screenshot-" });
try {
  const words = (await programCommand()).map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(
    `${folder}/sockpipe`,
    `#!/bin/sh\nexec ${words} "$@"\n`,
  );
  await Deno.chmod(`${folder}/sockpipe`, 0o755);
  await Deno.writeFile(`${folder}/disk.img`, new Uint8Array(FILE_BYTES));
  await createSecretFile(`${folder}/key`);
  const env = { PATH: `${folder}:${Deno.env.get("PATH")}` };
  Deno.chdir(folder);
  const startedAt = performance.now();
  const here = new Terminal(startedAt);
  const there = new Terminal(startedAt);
  const sending = type(
    here,
    "sockpipe --connect 32000 --secret-file key --progress --limit-rate 3M < disk.img",
    env,
  );
  while (!here.shown.some(({ text }) => text.includes("next attempt"))) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const receiving = type(
    there,
    "sockpipe --listen 32000 --secret-file key --verbose --receive-only > copy.img",
    env,
  );
  await Promise.all([sending, receiving]);
  await Deno.writeTextFile(
    new URL("../../docs/screenshot.svg", import.meta.url),
    svg([
      { title: "here, started first", terminal: here },
      { title: "there", terminal: there },
    ]),
  );
} finally {
  await Deno.remove(folder, { recursive: true });
}
