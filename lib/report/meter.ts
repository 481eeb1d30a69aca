/**
 * The meter of `--progress`: one line that is redrawn on a terminal, a plain line
 * every few seconds elsewhere, an event a second with `--json`.
 */

import type { Sink } from "../pipe/duplex.ts";
import { type LocalEnd, withSink } from "../pipe/pipe.ts";
import { renderMeter, type TerminalLook } from "./meter_line.ts";
import type { Progress, Totals } from "./event.ts";
import type { Reporter } from "./reporter.ts";
import { slowPart } from "./slow_part.ts";
import { NOT_WAITED, type WaitedMs } from "../pipe/traffic.ts";

/** The time over which the current rate is taken, at least, in ms. */
const RATE_WINDOW_MS = 1000;

/** The pause between two outputs of each kind of meter, in ms. */
const INTERVALS_MS = { live: 100, plain: 5000, events: 1000 } as const;

/** Computes rates and what is left from totals, measured again and again. */
export class RateMeter {
  #size: Size | undefined;
  #samples: Sample[];

  /** @param startedAt As `performance.now()`, in ms. */
  constructor(size: Size | undefined, startedAt: number) {
    this.#size = size;
    const waitedMs = NOT_WAITED;
    this.#samples = [{ at: startedAt, sent: 0, received: 0, waitedMs }];
  }

  /** Takes the size that is expected of what is received, if it is the larger one. */
  expect(bytes: number): void {
    const known = this.#size;
    if (known?.direction === "larger" || bytes <= (known?.bytes ?? -1)) return;
    this.#size = { bytes, direction: "received" };
  }

  /**
   * Measures once more.
   *
   * @param now As `performance.now()`, in ms; not before that of the last call.
   * @returns The progress; rates are those of the last second or more.
   */
  measure(totals: Totals, now: number): Progress {
    const { sent, received, waitedMs = NOT_WAITED } = totals;
    const first = this.#samples.findLastIndex(({ at }) =>
      at <= now - RATE_WINDOW_MS
    );
    this.#samples = this.#samples.slice(Math.max(first, 0));
    const sample = { at: now, sent, received, waitedMs };
    const [oldest = sample] = this.#samples;
    this.#samples.push(sample);
    const perSecond = (bytes: number) =>
      now > oldest.at ? bytes * 1000 / (now - oldest.at) : 0;
    return {
      ...totals,
      sentRate: perSecond(sent - oldest.sent),
      receivedRate: perSecond(received - oldest.received),
      ...this.#size === undefined ? {} : remaining(totals, this.#size),
      ...slowestSince(oldest, { ...totals, at: now, waitedMs }),
    };
  }
}

/** The totals at one moment. */
interface Sample {
  readonly at: number;
  readonly sent: number;
  readonly received: number;
  readonly waitedMs: WaitedMs;
}

/** Finds what has been waited for most since a moment, once anything has moved. */
function slowestSince(
  { at, waitedMs: before }: Sample,
  { sent, received, at: now, waitedMs }: Sample,
): Pick<Progress, "slow"> {
  const since = {
    stdin: waitedMs.stdin - before.stdin,
    sending: waitedMs.sending - before.sending,
    receiving: waitedMs.receiving - before.receiving,
    stdout: waitedMs.stdout - before.stdout,
  };
  const slow = slowPart({ sent, received, waitedMs: since }, now - at);
  return slow === undefined || sent + received === 0 ? {} : { slow: slow.what };
}

/** The expected amount of bytes. */
export interface Size {
  readonly bytes: number;
  /** The direction that it is the size of; the user's is that of the larger one. */
  readonly direction: "sent" | "received" | "larger";
}

function remaining(
  { sent, received, connectedMs, held = 0 }: Totals,
  size: Size,
): Pick<Progress, "size" | "percent" | "etaMs"> {
  const moved = { sent, received, larger: Math.max(sent, received) }[
    size.direction
  ];
  const done = moved + held;
  const left = Math.max(0, size.bytes - done);
  const percent = left === 0 ? 100 : done / size.bytes * 100;
  return {
    size: size.bytes,
    percent,
    ...moved > 0 ? { etaMs: left * connectedMs / moved } : {},
  };
}

/** The place and the form of the meter. */
export interface MeterOptions {
  readonly kind: keyof typeof INTERVALS_MS;
  readonly size: Size | undefined;
  /** Whether what the peer sends is shown on the same terminal. */
  readonly sharesTerminal: boolean;
  /** Asked before each drawing, as windows are resized. */
  readonly look: () => TerminalLook;
  /** Draws on the terminal; must not throw. */
  readonly draw: (text: string) => void;
}

/**
 * The running meter. Disposing of it leaves the final state as the last line; with
 * `events` it writes nothing, as the event `closed` follows.
 */
export class Meter implements Disposable {
  readonly #report: Reporter;
  readonly #options: MeterOptions;
  readonly #rates: RateMeter;
  #kind: MeterOptions["kind"];
  #timer: ReturnType<typeof setInterval> | undefined;
  /** The columns of the line that stands on the terminal; 0 when none does. */
  #drawn = 0;
  #isOver = false;

  constructor(report: Reporter, options: MeterOptions) {
    this.#report = report;
    this.#options = options;
    this.#kind = options.kind;
    this.#rates = new RateMeter(options.size, performance.now());
    report.hideBeforeLines(this);
    this.#start();
  }

  /**
   * Takes the size that the peer has announced; the user's and that of what is sent,
   * if it is larger, remain.
   *
   * @param bytes Only shown, so it may be wrong.
   */
  expect(bytes: number): void {
    this.#rates.expect(bytes);
  }

  /** Takes the line off the terminal, for something else to be written there. */
  hide(): void {
    if (this.#drawn === 0) return;
    this.#options.draw(this.#erasing());
    this.#drawn = 0;
  }

  /**
   * Wraps the local end so that the meter gives the terminal to received data: from
   * the first byte on, whole lines are written, and rarely.
   */
  wrap(local: LocalEnd): LocalEnd {
    if (this.#kind !== "live" || !this.#options.sharesTerminal) return local;
    const write = (bytes: Uint8Array) => {
      this.#stopDrawing();
      return local.sink.write(bytes);
    };
    const inner = local.sink;
    const sink: Sink = {
      write,
      end: () => inner.end(),
      ...inner.failed === undefined ? {} : { failed: inner.failed },
    };
    return withSink(local, sink);
  }

  #stopDrawing(): void {
    if (this.#kind !== "live") return;
    this.hide();
    this.#stop();
    this.#kind = "plain";
    this.#start();
  }

  [Symbol.dispose](): void {
    this.#stop();
    if (this.#kind === "events") return;
    this.#isOver = true;
    this.#show();
    if (this.#drawn > 0) this.#options.draw("\n");
    this.#drawn = 0;
  }

  #start(): void {
    this.#timer = setInterval(() => this.#show(), INTERVALS_MS[this.#kind]);
    if (this.#kind === "live") this.#show();
  }

  #stop(): void {
    clearInterval(this.#timer);
  }

  /** Says how far it is, once there is a connection. */
  #show(): void {
    if (!this.#report.hasTotals) return;
    const { slow, ...known } = this.#rates.measure(
      this.#report.totals,
      performance.now(),
    );
    const isWaiting = slow !== undefined && !this.#isOver;
    const progress = isWaiting ? { ...known, slow } : known;
    if (this.#kind !== "live") {
      this.#report.sayAlways({ event: "progress", ...progress });
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
