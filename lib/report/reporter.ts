/**
 * All talk: what the program says about itself, on stderr and nowhere else.
 *
 * Whoever has something to say hands over an {@linkcode Event}; how it reads and
 * whether it is said at all is decided here.
 */

import { type Event, type Reason, REASONS, type Totals } from "./event.ts";
import { EXIT, SignalError, SockpipeError } from "../base/errors.ts";
import { formatDuration } from "../base/units.ts";
import { lowerFirst, sentence, summary } from "./sentences.ts";
import { printable } from "./printable.ts";

/**
 * How much is said: only errors, the events that matter to all, every step; or
 * every event as JSON, one a line.
 */
export type Talk = "quiet" | "normal" | "verbose" | "json";

const SAID_BY_ALL: ReadonlySet<Event["event"]> = new Set([
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

/** The one who talks. */
export class Reporter {
  readonly #talk: Talk;
  readonly #write: (text: string) => void;
  /** Writes as it stands, beside everything else; does not throw. */
  readonly writeRaw: (text: string) => void;
  #totals: (() => Totals) | undefined;
  #onTerminal: { hide(): void } | undefined;

  /**
   * @param write Takes one line with its newline; it must not throw.
   */
  constructor(talk: Talk, write: (text: string) => void = writeToStderr) {
    this.#talk = talk;
    this.writeRaw = write;
    this.#write = (text) => {
      this.#onTerminal?.hide();
      write(text);
    };
  }

  /** Hides something drawn on the terminal before each line that is written. */
  keepClear(drawn: { hide(): void }): void {
    this.#onTerminal = drawn;
  }

  /** Takes the totals of the summary and of {@linkcode status} from here on. */
  follow(totals: () => Totals): void {
    this.#totals = totals;
  }

  /** Whether there is anything to follow: a connection has stood, or may any time. */
  get isFollowing(): boolean {
    return this.#totals !== undefined;
  }

  /** The totals so far; zeros before {@linkcode follow}. */
  get totals(): Totals {
    return this.#totals?.() ?? NOTHING_MOVED;
  }

  /** Says what happened, if that is to be said. */
  say(event: Event): void {
    if (this.#talk === "quiet" && event.event !== "insecure") return;
    if (this.#talk === "normal" && !this.#isSaidByAll(event)) return;
    this.#put(event);
  }

  /** Says what happened, whatever is said otherwise: it was asked for. */
  sayAlways(event: Event): void {
    this.#put(event);
  }

  /** Says how far the transfer is; always said, since somebody has asked. */
  status(): void {
    if (this.#talk !== "json") {
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
   * Says how the run ended: why it failed, and everything in sum. The last call.
   *
   * @param error Why it failed. Always said once, unless it speaks for itself: a
   * signal, or a reader of stdout that went away.
   */
  end(exitCode: number, error?: unknown): void {
    const message = error === undefined ? undefined : messageOf(error);
    const steps = [
      () => {
        if (message === undefined || isSilent(error)) return;
        this.#put({ event: "error", message, exitCode });
      },
      () => {
        if (this.#totals === undefined && this.#talk !== "json") return;
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
    if (this.#talk !== "json") steps.reverse();
    for (const step of steps) step();
  }

  /** Everything that is said passes here, whoever has chosen its words. */
  #put(event: Event): void {
    const text = this.#talk === "json"
      ? jsonOf(event)
      : `sockpipe: ${sentence(event)}`;
    this.#write(`${printable(text)}\n`);
  }

  #isSaidByAll(event: Event): boolean {
    return SAID_BY_ALL.has(event.event) ||
      event.event === "pin" && event.isNew ||
      event.event === "connected" && event.probe;
  }
}

/** The shell shows a signal itself, and a reader that went away wants no more. */
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

/** Bytes and milliseconds are whole numbers, but for a round trip; 100 percent is all of it. */
function jsonOf({ event, ...details }: Event): string {
  const time = new Date().toISOString();
  const whole = (key: string, value: unknown) =>
    typeof value !== "number"
      ? value
      : key === "percent"
      ? Math.floor(value)
      : key === "roundTripMs"
      ? Math.round(value * 1000) / 1000
      : Math.round(value);
  return JSON.stringify({ event, time, ...details }, whole);
}

const encoder = new TextEncoder();

/**
 * Writes to stderr as far as it takes anything; a stderr that is closed or full
 * must never change how the run ends.
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
