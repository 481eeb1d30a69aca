/**
 * All talk: what the program says about itself, on stderr and nowhere else.
 *
 * Whoever has something to say hands over an {@linkcode Event}; how it reads and
 * whether it is said at all is decided here.
 */

import { formatDuration } from "./units.ts";

/** Something that happened. Addresses are as `formatAddress` writes them. */
export type Event =
  | {
    readonly event: "listening";
    readonly address: string;
    /** Whether other machines can reach the address. */
    readonly exposed: boolean;
  }
  | {
    readonly event: "connecting";
    readonly address: string;
    /** 1 for the first attempt. */
    readonly attempt: number;
  }
  | {
    readonly event: "retrying";
    readonly address: string;
    readonly reason: string;
    readonly delayMs: number;
  }
  | {
    readonly event: "connected";
    readonly peer: string;
    readonly local: string;
    /** Whether the user asked for no more than this. */
    readonly probe: boolean;
  }
  | {
    readonly event: "session";
    readonly peer: string;
    /** Whether it goes on after a break. */
    readonly resumed: boolean;
  }
  | {
    readonly event: "interrupted";
    readonly peer: string;
    /** Bytes sent that the peer has confirmed so far. */
    readonly confirmed: number;
    /** Bytes received and written so far. */
    readonly received: number;
  }
  | { readonly event: "stdin-ended" }
  | { readonly event: "peer-ended" }
  | {
    readonly event: "closed";
    readonly sent: number;
    readonly received: number;
    readonly durationMs: number;
  };

/** How much is said: only errors, the events that matter to all, every step. */
export type Talk = "quiet" | "normal" | "verbose";

const SAID_BY_ALL: ReadonlySet<Event["event"]> = new Set([
  "listening",
  "retrying",
  "interrupted",
]);

/** The one who talks. */
export class Reporter {
  readonly #talk: Talk;
  readonly #write: (text: string) => void;

  /**
   * @param write Takes one line with its newline; it must not throw.
   */
  constructor(talk: Talk, write: (text: string) => void = writeToStderr) {
    this.#talk = talk;
    this.#write = write;
  }

  /** Says what happened, if that is to be said. */
  say(event: Event): void {
    if (this.#talk === "quiet") return;
    if (this.#talk === "normal" && !this.#isSaidByAll(event)) return;
    this.#write(`sockpipe: ${sentence(event)}\n`);
  }

  /** Says why the run failed; always said, once. */
  fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#write(`sockpipe: ${lowerFirst(text)}\n`);
  }

  #isSaidByAll(event: Event): boolean {
    return SAID_BY_ALL.has(event.event) ||
      event.event === "connected" && event.probe;
  }
}

function sentence(event: Event): string {
  switch (event.event) {
    case "listening":
      return `listening on ${event.address}` +
        (event.exposed ? " (other machines can reach it)" : "");
    case "connecting":
      return `connecting to ${event.address}` +
        (event.attempt > 1 ? `, attempt ${event.attempt}` : "");
    case "retrying":
      return `cannot connect to ${event.address}: ${event.reason}; next attempt in ${
        formatDuration(event.delayMs)
      }`;
    case "connected":
      return event.probe
        ? `${event.peer} is there`
        : `connected to ${event.peer} from ${event.local}`;
    case "session":
      return `session with ${event.peer} ${
        event.resumed ? "resumed" : "begun"
      }`;
    case "interrupted":
      return `the connection to ${event.peer} broke with ${event.confirmed} bytes confirmed and ${event.received} bytes received; resuming`;
    case "stdin-ended":
      return "everything from here is sent; waiting for the peer to end";
    case "peer-ended":
      return "the peer has ended; waiting for the end of stdin";
    case "closed":
      return `both sides ended: sent ${event.sent} bytes, received ${event.received} bytes in ${
        formatDuration(event.durationMs)
      }`;
  }
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text)
    ? text.charAt(0).toLowerCase() + text.slice(1)
    : text;
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
