/**
 * The meter of `--progress`: one line that is redrawn on a terminal, a plain line
 * every few seconds elsewhere, an event a second with `--json`.
 *
 * What a line looks like is worked out by pure functions.
 */

import { type Sink, withEnds } from "../pipe/duplex.ts";
import { offsetOfStdin } from "../io/kernel.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import type { Progress, Reporter, Totals } from "./reporter.ts";
import { countClients } from "../pipe/traffic.ts";
import { formatBytes, formatRate } from "../base/units.ts";

/** The time over which the current rate is taken, at least, in ms. */
const RATE_WINDOW_MS = 1000;

/** How often each kind of meter speaks, in ms. */
const INTERVALS_MS = { live: 100, plain: 5000, events: 1000 } as const;

/** What a terminal can show. */
export interface Look {
  /** At least 1. */
  readonly columns: number;
  readonly color: boolean;
  /** Whether arrows and blocks can be shown. */
  readonly unicode: boolean;
}

/** A part of the line, and from which on it is left out: the highest first. */
interface Part {
  readonly text: string;
  readonly rank: number;
  readonly dim?: boolean;
}

/** The rank of the direction in which less has moved. */
const MINOR_RANK = 2;
const BAR_RANK = 5;
const MIN_BAR_COLUMNS = 8;
const MAX_BAR_COLUMNS = 40;
const GAP = "  ";

/**
 * The meter as one line of less than `columns` columns, without its newline.
 * What matters less is left out first: average, bar, elapsed time, clients, rate.
 */
export function renderMeter(progress: Progress, look: Look): string {
  const room = look.columns - 1;
  let parts = partsOf(progress, look);
  while (parts.length > 1 && widthOf(parts) > room) {
    const highest = Math.max(...parts.map(({ rank }) => rank));
    parts = parts.filter(({ rank }) => rank !== highest);
  }
  const barColumns = MIN_BAR_COLUMNS + Math.min(
    room - widthOf(parts),
    MAX_BAR_COLUMNS - MIN_BAR_COLUMNS,
  );
  return parts.map((part) =>
    part.rank === BAR_RANK
      ? renderBar(progress.percent ?? 0, barColumns, look)
      : part.dim && look.color
      ? `\x1b[2m${part.text}\x1b[0m`
      : part.text
  ).join(GAP).slice(0, parts.length === 1 ? Math.max(room, 0) : undefined);
}

function widthOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { text }) => sum + text.length, 0) +
    GAP.length * (parts.length - 1);
}

function partsOf(progress: Progress, { unicode }: Look): Part[] {
  const { sent, received, connectedMs, percent, etaMs } = progress;
  const { clients = 0, connected } = progress;
  const parts: Part[] = [];
  if (sent > 0 || received === 0) {
    const mark = unicode ? "↑" : "sent";
    const rank = sent >= received ? 0 : MINOR_RANK;
    parts.push({ text: amount(mark, sent), rank });
    parts.push({ text: rate(progress.sentRate), rank: 3 });
  }
  if (received > 0) {
    const mark = unicode ? "↓" : "received";
    const rank = sent >= received ? MINOR_RANK : 0;
    parts.push({ text: amount(mark, received), rank });
    parts.push({ text: rate(progress.receivedRate), rank: 3 });
  }
  const average = connectedMs > 0 ? (sent + received) * 1000 / connectedMs : 0;
  parts.push({ text: `avg ${rate(average)}`, rank: 6, dim: true });
  parts.push({ text: formatClock(connectedMs), rank: 4 });
  if (connected !== undefined) {
    const text = connected === 0 && clients > 0
      ? `${countClients(clients)} so far`
      : countClients(connected);
    parts.push({ text, rank: 3.5 });
  }
  if (percent !== undefined) {
    parts.push({ text: " ".repeat(MIN_BAR_COLUMNS), rank: BAR_RANK });
    parts.push({ text: `${Math.floor(percent)}%`.padStart(4), rank: 1 });
  }
  if (etaMs !== undefined && etaMs > 0) {
    parts.push({ text: `${formatClock(etaMs + 999)} left`, rank: 1.5 });
  }
  return parts;
}

function amount(mark: string, bytes: number): string {
  return `${mark} ${formatBytes(bytes).padStart(8)}`;
}

function rate(bytesPerSecond: number): string {
  return formatRate(bytesPerSecond).padStart(10);
}

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

function renderBar(percent: number, columns: number, look: Look): string {
  const filled = percent / 100 * columns;
  const whole = Math.floor(filled);
  if (!look.unicode) {
    return "#".repeat(whole) + "-".repeat(columns - whole);
  }
  const part = EIGHTHS[Math.floor((filled - whole) * 8)] ?? "";
  const done = "█".repeat(whole) + part;
  const rest = "░".repeat(columns - done.length);
  return look.color
    ? `\x1b[32m${done}\x1b[0m\x1b[2m${rest}\x1b[0m`
    : done + rest;
}

/**
 * Writes a time as a clock does: `0:05`, `12:34`, `1:02:03`.
 *
 * @param ms At least 0; rounded down to seconds.
 */
export function formatClock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60) % 60;
  const hours = Math.floor(seconds / 3600);
  return hours === 0
    ? `${minutes}:${two(seconds % 60)}`
    : `${hours}:${two(minutes)}:${two(seconds % 60)}`;
}

/** Works out rates, and how much is left, from totals taken again and again. */
export class Gauge {
  readonly #size: Size | undefined;
  #samples: { at: number; sent: number; received: number }[];

  constructor(size: Size | undefined, startedAt: number) {
    this.#size = size;
    this.#samples = [{ at: startedAt, sent: 0, received: 0 }];
  }

  /**
   * @param now As `performance.now()`, in ms; not before the call before.
   */
  measure(totals: Totals, now: number): Progress {
    const { sent, received } = totals;
    const first = this.#samples.findLastIndex(({ at }) =>
      at <= now - RATE_WINDOW_MS
    );
    this.#samples = this.#samples.slice(Math.max(first, 0));
    const [oldest = { at: now, sent, received }] = this.#samples;
    this.#samples.push({ at: now, sent, received });
    const perSecond = (bytes: number) =>
      now > oldest.at ? bytes * 1000 / (now - oldest.at) : 0;
    return {
      ...totals,
      sentRate: perSecond(sent - oldest.sent),
      receivedRate: perSecond(received - oldest.received),
      ...this.#size === undefined ? {} : remaining(totals, this.#size),
    };
  }
}

/** How much there will be, in bytes. */
export interface Size {
  readonly bytes: number;
  /** Whether what is sent will come to it, or whichever direction is larger. */
  readonly of: "sent" | "larger";
}

function remaining(
  { sent, received, connectedMs }: Totals,
  size: Size,
): Pick<Progress, "size" | "percent" | "etaMs"> {
  const done = size.of === "sent" ? sent : Math.max(sent, received);
  const left = Math.max(0, size.bytes - done);
  const percent = left === 0 ? 100 : done / size.bytes * 100;
  return {
    size: size.bytes,
    percent,
    ...done > 0 ? { etaMs: left * connectedMs / done } : {},
  };
}

/** Where and how the meter is shown. */
export interface MeterOptions {
  readonly kind: keyof typeof INTERVALS_MS;
  readonly size: Size | undefined;
  /** Whether what the peer sends is shown on the same terminal. */
  readonly sharesTerminal: boolean;
  /** Asked before each drawing, as windows are resized. */
  readonly look: () => Look;
  /** Draws on the terminal; must not throw. */
  readonly draw: (text: string) => void;
}

/** The running meter. Disposing it leaves the final state as the last line. */
export class Meter implements Disposable {
  readonly #report: Reporter;
  readonly #options: MeterOptions;
  readonly #gauge: Gauge;
  #kind: MeterOptions["kind"];
  #timer: ReturnType<typeof setInterval> | undefined;
  /** The columns of the line that stands on the terminal; 0 when none does. */
  #drawn = 0;

  constructor(report: Reporter, options: MeterOptions) {
    this.#report = report;
    this.#options = options;
    this.#kind = options.kind;
    this.#gauge = new Gauge(options.size, performance.now());
    report.keepClear(this);
    this.#start();
  }

  /** Takes the line off the terminal, for something else to be written there. */
  hide(): void {
    if (this.#drawn === 0) return;
    this.#options.draw(this.#erasing());
    this.#drawn = 0;
  }

  /**
   * Our own end as the pipe is to see it. When what is received is shown on the
   * same terminal, the meter leaves that to the data with the first byte: from
   * then on only whole lines are written, and rarely.
   */
  inFrontOf(local: LocalEnd): LocalEnd {
    if (this.#kind !== "live" || !this.#options.sharesTerminal) return local;
    const write = (bytes: Uint8Array) => {
      this.#giveWay();
      return local.sink.write(bytes);
    };
    const { sends, endsWithPeer } = local;
    const inner = local.sink;
    const sink: Sink = {
      write,
      end: () => inner.end(),
      flush: async () => await inner.flush?.(),
      get pending() {
        return inner.pending ?? 0;
      },
      ...inner.failed === undefined ? {} : { failed: inner.failed },
    };
    return { ...withEnds(local, { sink }), sends, endsWithPeer };
  }

  #giveWay(): void {
    if (this.#kind !== "live") return;
    this.hide();
    this.#stop();
    this.#kind = "plain";
    this.#start();
  }

  [Symbol.dispose](): void {
    this.#stop();
    if (this.#kind === "events") return;
    this.#tell();
    if (this.#drawn > 0) this.#options.draw("\n");
    this.#drawn = 0;
  }

  #start(): void {
    this.#timer = setInterval(() => this.#tell(), INTERVALS_MS[this.#kind]);
    if (this.#kind === "live") this.#tell();
  }

  #stop(): void {
    clearInterval(this.#timer);
  }

  /** Says how far it is, once there is a connection. */
  #tell(): void {
    if (!this.#report.isFollowing) return;
    const progress = this.#gauge.measure(
      this.#report.totals,
      performance.now(),
    );
    if (this.#kind !== "live") {
      this.#report.tell({ event: "progress", ...progress });
      return;
    }
    const look = this.#options.look();
    const line = renderMeter(progress, look);
    this.#options.draw(this.#erasing() + line);
    this.#drawn = renderMeter(progress, { ...look, color: false }).length;
  }

  /**
   * Erases the rows of the line, of which a narrowed window has made several. Row
   * by row, as some terminals keep what is erased to the end of the screen.
   */
  #erasing(): string {
    const { columns } = this.#options.look();
    const rows = Math.max(1, Math.ceil(this.#drawn / columns));
    return "\r\x1b[K" + "\x1b[A\x1b[K".repeat(rows - 1);
  }
}

/** What of a run's options the meter needs to know. */
export interface MeterContext {
  /** How much it will be, if the user says so, in bytes. */
  readonly size: number | undefined;
  readonly json: boolean;
  /** What is sent, as far as its size can be asked for. */
  readonly sends: "stdin" | { readonly path: string } | undefined;
  /** Whether what is received goes to stdout. */
  readonly writesStdout: boolean;
  /** Whether a person or a command writes on the same terminal at any time. */
  readonly hasCompany: boolean;
}

/** Starts the meter that fits this terminal, or the lack of one. */
export async function startMeter(
  report: Reporter,
  { size, json, sends, writesStdout, hasCompany }: MeterContext,
): Promise<Meter> {
  const live = Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb" &&
    !hasCompany;
  const color = (Deno.env.get("NO_COLOR") ?? "") === "";
  const unicode = canShowUnicode();
  return new Meter(report, {
    kind: json ? "events" : live ? "live" : "plain",
    size: size === undefined
      ? await sizeOf(sends)
      : { bytes: size, of: "larger" },
    sharesTerminal: writesStdout && Deno.stdout.isTerminal(),
    look: () => ({ columns: terminalColumns(), color, unicode }),
    draw: report.writeRaw,
  });
}

/** What is still to be read of what is sent, when it is a file. */
async function sizeOf(sends: MeterContext["sends"]): Promise<Size | undefined> {
  if (sends === undefined) return undefined;
  // node:fs is loaded only here, since that takes milliseconds.
  const { fstatSync, statSync } = await import("node:fs");
  try {
    const stat = sends === "stdin" ? fstatSync(0) : statSync(sends.path);
    if (!stat.isFile()) return undefined;
    const before = sends === "stdin" ? offsetOfStdin() ?? 0 : 0;
    return { bytes: Math.max(0, stat.size - before), of: "sent" };
  } catch {
    return undefined;
  }
}

function canShowUnicode(): boolean {
  if (Deno.build.os === "windows") return true;
  const locale = Deno.env.get("LC_ALL") || Deno.env.get("LC_CTYPE") ||
    Deno.env.get("LANG") || "";
  return /utf-?8/i.test(locale);
}

const USUAL_COLUMNS = 80;

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || USUAL_COLUMNS;
  } catch {
    return USUAL_COLUMNS;
  }
}
