/**
 * All talk: what the program says about itself, on stderr and nowhere else.
 *
 * Whoever has something to say hands over an {@linkcode Event}; how it reads and
 * whether it is said at all is decided here.
 */

import { EXIT, SignalError, SockpipeError } from "../base/errors.ts";
import { countBytes, countClients, countConnections } from "../pipe/traffic.ts";
import { formatDuration, formatRate } from "../base/units.ts";

/** What a run has moved so far, over all of its connections; in bytes and ms. */
export interface Totals {
  readonly sent: number;
  readonly received: number;
  /** Since the first connection stood. */
  readonly connectedMs: number;
  /** With `--reliable`: how much of what was sent the peer has confirmed. */
  readonly confirmed?: number;
  /** With `--reliable`: how many broken connections the stream has survived. */
  readonly breaks?: number;
  /** With `--keep-open`: how many clients have come. */
  readonly clients?: number;
  /** With `--keep-open`: how many of them are still there. */
  readonly connected?: number;
}

/**
 * How far the transfer is. Rates are in bytes a second, of the last moments; those
 * that a signal asked for are of the whole time.
 */
export interface Progress extends Totals {
  readonly sentRate: number;
  readonly receivedRate: number;
  /** What the larger direction will come to, when that is known. */
  readonly size?: number;
  /** How much of `size` there is, 0 to 100. */
  readonly percent?: number;
  /** Until `size` is reached, at the average rate so far. */
  readonly etaMs?: number;
}

/**
 * Something that happened. Addresses are as `formatAddress` writes them. With
 * `--json` an event is written as it stands here, so its names, once published,
 * stay; `docs/events.schema.json` describes it.
 */
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
  | {
    /** One of many connections has ended well. */
    readonly event: "left";
    readonly peer: string;
    readonly sent: number;
    readonly received: number;
  }
  | {
    /** Somebody was not let in, as TLS or the token failed; others may. */
    readonly event: "handshake-failed";
    readonly peer: string;
    readonly reason: string;
  }
  | {
    /** One of many connections has failed; the others go on. */
    readonly event: "failed";
    readonly peer: string;
    readonly reason: string;
  }
  | {
    /** How the other side can be sure that it is us. */
    readonly event: "pin";
    readonly pin: string;
    /** The other side's command line. */
    readonly invitation: string;
    /** Whether the key was made for this run, so that nobody can know it yet. */
    readonly isNew: boolean;
  }
  | {
    /** The peer is not verified, as the user wants it. */
    readonly event: "insecure";
    readonly peer: string;
  }
  | {
    /** Somebody who may not connect was turned away. */
    readonly event: "refused";
    readonly peer: string;
  }
  | {
    /** As many connections stand as may; the next one waits. */
    readonly event: "full";
    readonly count: number;
  }
  | {
    /** The system has no file descriptor left; said once. */
    readonly event: "no-descriptors";
  }
  | {
    /** No more connections are accepted; those that stand may finish. */
    readonly event: "stopping";
    readonly count: number;
    readonly graceMs: number;
  }
  | {
    /** Connections that had not finished were ended. */
    readonly event: "cut-off";
    readonly count: number;
  }
  | {
    readonly event: "verified";
    /** SHA-256 of the streams (`--digest`), in hex. */
    readonly sentSha256: string;
    readonly receivedSha256: string;
  }
  | { readonly event: "stdin-ended" }
  | { readonly event: "peer-ended" }
  | { readonly event: "progress" } & Progress
  | {
    readonly event: "error";
    readonly message: string;
    readonly exitCode: number;
  }
  | { readonly event: "closed" } & Closed;

/** The last event of every run. */
interface Closed extends Totals {
  readonly exitCode: number;
  readonly reason: Reason;
  /** What went wrong, in a sentence; absent when all went well. */
  readonly message?: string;
  /** Since the start of the process. */
  readonly durationMs: number;
}

/** Why a run ended: one word for each exit code, and one for all signals. */
const REASONS = {
  [EXIT.ok]: "delivered",
  [EXIT.broken]: "broken",
  [EXIT.usage]: "usage",
  [EXIT.connect]: "connect",
  [EXIT.listen]: "listen",
  [EXIT.timeLimit]: "time-limit",
  [EXIT.damaged]: "damaged",
  [EXIT.refused]: "refused",
  [EXIT.localIo]: "local-io",
  [EXIT.readerGone]: "reader-gone",
} as const;
type Reason = typeof REASONS[keyof typeof REASONS] | "signal";

/**
 * How much is said: only errors, the events that matter to all, every step; or
 * every event as JSON, one a line.
 */
export type Talk = "quiet" | "normal" | "verbose" | "json";

const SAID_BY_ALL: ReadonlySet<Event["event"]> = new Set([
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

  /** What has moved so far; nothing before {@linkcode follow}. */
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
  tell(event: Event): void {
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
    this.tell({
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

  #put(event: Event): void {
    this.#write(
      this.#talk === "json"
        ? jsonLine(event)
        : `sockpipe: ${sentence(event)}\n`,
    );
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

/** The message; of a failure that no module foresaw, all there is. */
function messageOf(error: unknown): string {
  if (error instanceof SockpipeError) return lowerFirst(error.message);
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

function reasonOfEnd(exitCode: number, error: unknown): Reason {
  if (error instanceof SignalError) return "signal";
  const known: Partial<Record<number, Reason>> = REASONS;
  return known[exitCode] ?? "broken";
}

/** Bytes and milliseconds are whole numbers; 100 percent is all of it. */
function jsonLine({ event, ...details }: Event): string {
  const time = new Date().toISOString();
  const whole = (key: string, value: unknown) =>
    typeof value !== "number"
      ? value
      : key === "percent"
      ? Math.floor(value)
      : Math.round(value);
  return JSON.stringify({ event, time, ...details }, whole) + "\n";
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
    case "left":
      return `${event.peer} has ended: sent ${
        countBytes(event.sent)
      }, received ${countBytes(event.received)}`;
    case "failed":
      return `${event.peer}: ${lowerFirst(event.reason)}`;
    case "refused":
      return `${event.peer} may not connect (--allow, --deny)`;
    case "full":
      return `${
        countConnections(event.count)
      } at once (--max-connections): the next one waits`;
    case "no-descriptors":
      return "out of file descriptors: new connections wait until others end (ulimit -n)";
    case "stopping":
      return `stopping: ${countConnections(event.count)} may finish within ${
        formatDuration(event.graceMs)
      } (--grace)`;
    case "cut-off":
      return `${countConnections(event.count)} had not finished`;
    case "verified":
      return `sha256 of what was sent: ${event.sentSha256}, received: ${event.receivedSha256}`;
    case "handshake-failed":
      return `refused ${event.peer}: ${event.reason}`;
    case "pin":
      return `to connect: ${event.invitation}`;
    case "insecure":
      return `warning: ${event.peer} is not verified (--tls-insecure); anybody on the way can read and change everything`;
    case "stdin-ended":
      return "everything from here is sent; waiting for the peer to end";
    case "peer-ended":
      return "the peer has ended; waiting for the end of stdin";
    case "progress":
      return summary(event) +
        `, now ${formatRate(event.sentRate + event.receivedRate)}` +
        remaining(event);
    case "error":
      return event.message;
    case "closed":
      return (event.exitCode === EXIT.ok ? "both sides ended: " : "") +
        summary(event);
  }
}

/** "sent 5242880 bytes, received 0 bytes, in 500ms; 10.0 MiB/s out". */
function summary(totals: Totals): string {
  const { sent, received, connectedMs, confirmed, breaks } = totals;
  const { clients, connected } = totals;
  const amounts = [
    `sent ${countBytes(sent)}`,
    `received ${countBytes(received)}`,
    `in ${formatDuration(connectedMs)}`,
    ...confirmed === undefined ? [] : [`${countBytes(confirmed)} confirmed`],
    ...breaks === undefined || breaks === 0
      ? []
      : [`${breaks} broken connection${breaks === 1 ? "" : "s"} survived`],
    ...clients === undefined ? [] : [countClients(clients)],
    ...connected === undefined || connected === 0
      ? []
      : [`${connected} of them connected`],
  ];
  const rates = [[sent, "out"], [received, "in"]] as const;
  const shown = rates
    .filter(([bytes]) => bytes > 0 && connectedMs >= 1)
    .map(([bytes, way]) => `${formatRate(bytes * 1000 / connectedMs)} ${way}`);
  return [amounts.join(", "), ...shown.length > 0 ? [shown.join(", ")] : []]
    .join("; ");
}

function remaining({ percent, etaMs }: Progress): string {
  if (percent === undefined) return "";
  const left = etaMs === undefined || etaMs === 0
    ? ""
    : `, ${formatDuration(Math.ceil(etaMs / 1000) * 1000)} left`;
  return `; ${Math.floor(percent)}%${left}`;
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
