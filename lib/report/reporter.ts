/**
 * Diagnostics: what the program says about itself, on stderr and nowhere else.
 *
 * Callers hand over an {@linkcode Event}; how it reads, and whether it is written
 * at all, is decided here.
 */

import { type Event, type Reason, REASONS, type Totals } from "./event.ts";
import { EXIT, SignalError, SockpipeError } from "../base/errors.ts";
import { formatDuration } from "../base/units.ts";
import { lowerFirst, sentence, summary } from "./sentences.ts";
import { printable } from "../base/printable.ts";

/**
 * The amount that is reported: only errors, the events that matter to all, every
 * step; or every event as JSON, one a line.
 */
export type Verbosity = "quiet" | "normal" | "verbose" | "json";

/** Events that are reported unless --quiet is given. */
const NORMAL_EVENTS: ReadonlySet<Event["event"]> = new Set([
  "checking",
  "continuing",
  "saved",
  "kept",
  "unfinished",
  "listening",
  "retrying",
  "interrupted",
  "failed",
  "no-descriptors",
  "stopping",
  "cut-off",
  "handshake-failed",
  "insecure",
]);

const NOTHING_MOVED: Totals = { sent: 0, received: 0, connectedMs: 0 };

/** Writes events to stderr, as far as the verbosity asks for them. */
export class Reporter {
  readonly #verbosity: Verbosity;
  readonly #write: (text: string) => void;
  /** Writes as it stands, beside everything else; does not throw. */
  readonly writeRaw: (text: string) => void;
  #totals: (() => Totals) | undefined;
  #onTerminal: { hide(): void } | undefined;

  /**
   * @param write Takes one line with its newline; it must not throw.
   */
  constructor(
    verbosity: Verbosity,
    write: (text: string) => void = writeToStderr,
  ) {
    this.#verbosity = verbosity;
    this.writeRaw = write;
    this.#write = (text) => {
      this.#onTerminal?.hide();
      write(text);
    };
  }

  /** Hides something drawn on the terminal before each line that is written. */
  hideBeforeLines(drawn: { hide(): void }): void {
    this.#onTerminal = drawn;
  }

  /**
   * Sets where the totals come from: for the summary, {@linkcode status} and the
   * meter.
   */
  setTotals(totals: () => Totals): void {
    this.#totals = totals;
  }

  /** Whether totals are there: a connection was made, or may be made at any time. */
  get hasTotals(): boolean {
    return this.#totals !== undefined;
  }

  /** The totals so far; zeros before {@linkcode setTotals}. */
  get totals(): Totals {
    return this.#totals?.() ?? NOTHING_MOVED;
  }

  /**
   * Reports an event, unless the verbosity leaves it out. With --quiet only the
   * warning of --tls-insecure is left.
   */
  say(event: Event): void {
    if (this.#verbosity === "quiet" && event.event !== "insecure") return;
    if (this.#verbosity === "normal" && !this.#isNormal(event)) return;
    this.#put(event);
  }

  /** Reports an event at any verbosity. */
  sayAlways(event: Event): void {
    this.#put(event);
  }

  /** Reports the progress, at any verbosity: somebody has asked. */
  status(): void {
    if (this.#verbosity !== "json") {
      const text = this.#totals === undefined
        ? `not connected yet, ${
          formatDuration(performance.now())
        } after the start`
        : summary(this.totals);
      this.#write(`sockpipe: ${text}\n`);
      return;
    }
    const { totals } = this;
    const perSecond = (bytes: number) =>
      totals.connectedMs === 0 ? 0 : bytes * 1000 / totals.connectedMs;
    this.sayAlways({
      event: "progress",
      ...totals,
      sentRate: perSecond(totals.sent),
      receivedRate: perSecond(totals.received),
    });
  }

  /**
   * Reports how the run ended: its failure and its totals. Call it last, once.
   *
   * @param error The failure. Always reported, but for a signal and a reader of
   * stdout that went away.
   */
  end(exitCode: number, error?: unknown): void {
    const message = error === undefined ? undefined : messageOf(error);
    const steps = [
      () => {
        if (message === undefined || isSilent(error)) return;
        this.#put({ event: "error", message, exitCode });
      },
      () => {
        if (this.#totals === undefined && this.#verbosity !== "json") return;
        this.say({
          event: "closed",
          exitCode,
          reason: reasonOfEnd(exitCode, error),
          ...(message === undefined ? {} : { message }),
          ...this.totals,
          durationMs: performance.now(),
        });
      },
    ];
    // Programs look for the last event, people at the last line: why it failed.
    if (this.#verbosity !== "json") steps.reverse();
    for (const step of steps) step();
  }

  /** Writes one event, made harmless to a terminal. */
  #put(event: Event): void {
    const text = this.#verbosity === "json"
      ? jsonOf(event)
      : `sockpipe: ${sentence(event)}`;
    this.#write(`${printable(text)}\n`);
  }

  #isNormal(event: Event): boolean {
    return NORMAL_EVENTS.has(event.event) ||
      event.event === "pin" && event.isNew ||
      event.event === "connected" && event.probe;
  }
}

/**
 * Whether an error is not printed: a shell reports signals itself, and a reader
 * that has left reads nothing.
 */
function isSilent(error: unknown): boolean {
  return error instanceof SockpipeError &&
    (error instanceof SignalError || error.exitCode === EXIT.readerGone);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? lowerFirst(error.message) : String(error);
}

function reasonOfEnd(exitCode: number, error: unknown): Reason {
  if (error instanceof SignalError) return "signal";
  const known: Partial<Record<number, Reason>> = REASONS;
  return known[exitCode] ?? "broken";
}

/**
 * Writes an event as JSON, with numbers rounded: bytes and milliseconds are whole
 * numbers, but for a round trip; 100 percent is all of it.
 */
function jsonOf({ event, ...details }: Event): string {
  const time = new Date().toISOString();
  const whole = (key: string, value: unknown) =>
    typeof value !== "number"
      ? value
      : key === "percent"
      ? Math.floor(value)
      : key === "roundTripMs" || key === "targetRoundTripMs"
      ? Math.round(value * 1000) / 1000
      : Math.round(value);
  return JSON.stringify({ event, time, ...details }, whole);
}

const encoder = new TextEncoder();

/**
 * Writes to stderr. One that is closed changes nothing; one that is full holds the
 * run up, as with every program.
 */
export function writeToStderr(text: string): void {
  let bytes = encoder.encode(text);
  try {
    while (bytes.length > 0) {
      bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
    }
  } catch {
    // There is nobody left to tell.
  }
}
