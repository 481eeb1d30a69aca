/** The meter as one line of text, made to fit. */

import { countClients } from "../pipe/traffic.ts";
import { formatBytes, formatRate } from "../base/units.ts";
import type { Progress } from "./event.ts";
import { wordsOf } from "./slow_part.ts";

/** The abilities of a terminal. */
export interface TerminalLook {
  /** At least 1. */
  readonly columns: number;
  readonly color: boolean;
  /** Whether arrows and blocks can be shown. */
  readonly unicode: boolean;
}

/**
 * A part of the line. Of parts that do not fit, the one with the highest rank is
 * left out first.
 */
interface Part {
  readonly text: string;
  readonly rank: number;
  readonly dim?: boolean;
}

/** The rank of the direction in which less has moved. */
const MINOR_RANK = 2;
const BAR_RANK = 5;
const SLOW_RANK = 5.5;
const MIN_BAR_COLUMNS = 8;
const MAX_BAR_COLUMNS = 40;
const GAP = "  ";

/**
 * Renders the meter as one line of less than `columns` columns, without its
 * newline. What matters less is left out first: average, bar, elapsed time,
 * clients, rate.
 */
export function renderMeter(progress: Progress, look: TerminalLook): string {
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

function partsOf(progress: Progress, { unicode }: TerminalLook): Part[] {
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
  if (progress.slow !== undefined) {
    const text = `waits for ${wordsOf(progress.slow, progress)}`;
    parts.push({ text, rank: SLOW_RANK, dim: true });
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

function renderBar(
  percent: number,
  columns: number,
  look: TerminalLook,
): string {
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
