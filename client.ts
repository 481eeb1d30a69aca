/**
 * Going to the peer: every address of its name, a fresh socket for each attempt,
 * again after a pause while it is not there.
 */

import process from "node:process";
import { delay } from "@std/async/delay";
import { type Address, formatAddress } from "./lib/net/address.ts";
import { isIPv4, isIPv6 } from "./lib/net/ip_address.ts";
import type { RetryOptions } from "./lib/cli/options.ts";
import { ConnectError, reasonOf, TimeLimitError } from "./lib/base/errors.ts";
import type { Reporter } from "./lib/report/reporter.ts";
import type { Dial, Socket } from "./lib/net/socket.ts";
import { formatDuration } from "./lib/base/units.ts";

/**
 * How long one address of a name may take before the next is tried beside it
 * (RFC 8305 section 5, Connection Attempt Delay).
 */
const NEXT_ADDRESS_DELAY_MS = 250;

/** The system's words for "not there yet": worth another attempt. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ETIMEDOUT",
  // The path of a unix socket that is not there yet, or its full backlog.
  "ENOENT",
  "EAGAIN",
  // The name server does not answer; a name that does not exist is ENOTFOUND.
  "EAI_AGAIN",
]);

export interface ConnectContext {
  /** Its abort ends any attempt and any pause; `connect` rejects with its reason. */
  readonly signal: AbortSignal;
  readonly report: Reporter;
  /** How a socket is connected; `Deno.connect` when absent. */
  readonly dial?: Dial | undefined;
}

/**
 * Connects, again and again as `retry` says.
 *
 * @returns A connected socket, the caller's to close.
 * @throws {ConnectError} The failure is not worth another attempt, or none is left.
 * @throws {TimeLimitError} `--retry-timeout` is over, or the last attempt that was
 * left took longer than `--connect-timeout`.
 */
export async function connect(
  address: Address,
  retry: RetryOptions,
  { signal, report, dial = Deno.connect }: ConnectContext,
): Promise<Socket> {
  const name = formatAddress(address);
  const total = retry.timeoutMs === undefined
    ? undefined
    : AbortSignal.timeout(retry.timeoutMs);
  const either = total === undefined
    ? signal
    : AbortSignal.any([signal, total]);
  let last: unknown;
  try {
    for (let attempt = 1;; attempt++) {
      report.say({ event: "connecting", address: name, attempt });
      try {
        return await connectOnce(
          address,
          retry.connectTimeoutMs,
          either,
          dial,
        );
      } catch (error) {
        if (either.aborted) throw error;
        last = error;
        const isLast = attempt > (retry.retries ?? Infinity);
        if (isLast || !isPassing(error)) throw failure(name, error, attempt);
      }
      const delayMs = retryDelayMs(attempt, retry, Math.random);
      const reason = connectReason(last);
      report.say({ event: "retrying", address: name, reason, delayMs });
      await delay(delayMs, { signal: either });
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!total?.aborted) throw error;
    throw new TimeLimitError(
      `Cannot connect to "${name}" within ${
        formatDuration(retry.timeoutMs ?? 0)
      } (--retry-timeout)` +
        (last === undefined ? "" : `: ${connectReason(last)}`),
      { cause: last ?? error },
    );
  }
}

/**
 * The pause before the next attempt: the delay, doubled with each attempt up to
 * the largest, of which then a random part of up to a half is taken off.
 *
 * @param attempt The number of attempts so far, 1 or more.
 * @param random A number from 0 to below 1.
 * @returns Milliseconds; exactly `delayMs` when `maxDelayMs` is not larger.
 */
export function retryDelayMs(
  attempt: number,
  { delayMs, maxDelayMs }: Pick<RetryOptions, "delayMs" | "maxDelayMs">,
  random: () => number,
): number {
  if (maxDelayMs <= delayMs) return delayMs;
  const doubled = Math.min(
    maxDelayMs,
    delayMs * 2 ** Math.min(attempt - 1, 31),
  );
  return Math.max(delayMs, Math.round(doubled * (1 - random() / 2)));
}

function isPassing(error: unknown): boolean {
  return error instanceof AttemptTimeoutError ||
    PASSING_CODES.has(codeOf(error) ?? "");
}

/** One attempt took longer than it may. */
class AttemptTimeoutError extends Error {
  override readonly name = "AttemptTimeoutError";
}

function failure(name: string, error: unknown, attempts: number): Error {
  const tried = attempts === 1 ? "" : ` (${attempts} attempts)`;
  const text = `Cannot connect to "${name}": ${connectReason(error)}${tried}`;
  return error instanceof AttemptTimeoutError
    ? new TimeLimitError(text, { cause: error })
    : new ConnectError(text, { cause: error });
}

function connectReason(error: unknown): string {
  switch (codeOf(error)) {
    case "ENOTFOUND":
      return "no such host name";
    case "EAI_AGAIN":
      return "the name server does not answer";
    default:
      return reasonOf(error);
  }
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/**
 * One attempt, with a fresh socket for each address of the name.
 *
 * @throws {AttemptTimeoutError} It took longer than `timeoutMs`.
 * @throws The system's error of the last address, or `signal.reason`.
 */
async function connectOnce(
  address: Address,
  timeoutMs: number,
  signal: AbortSignal,
  dial: Dial,
): Promise<Socket> {
  signal.throwIfAborted();
  const giveUp = new AbortController();
  const timer = setTimeout(() => {
    giveUp.abort(
      new AttemptTimeoutError(
        `no answer within ${formatDuration(timeoutMs)} (--connect-timeout)`,
      ),
    );
  }, timeoutMs);
  const either = AbortSignal.any([signal, giveUp.signal]);
  try {
    return await abortable(open(address, either, dial), either);
  } finally {
    clearTimeout(timer);
  }
}

function open(
  address: Address,
  signal: AbortSignal,
  dial: Dial,
): Promise<Socket> {
  return address.transport === "unix"
    ? Deno.connect({ transport: "unix", path: address.path })
    : openTcp(address.hostname, address.port, signal, dial);
}

/**
 * Tries all addresses of the name: each next one as soon as the one before has
 * failed or has taken a while. The first connection wins.
 */
async function openTcp(
  hostname: string,
  port: number,
  signal: AbortSignal,
  dial: Dial,
): Promise<Socket> {
  const hostnames = await resolve(hostname);
  const [first] = hostnames;
  if (first !== undefined && hostnames.length === 1) {
    return await dial({ hostname: first, port, signal });
  }
  const won = new AbortController();
  const either = AbortSignal.any([signal, won.signal]);
  let mayStart: Promise<unknown> = Promise.resolve();
  const attempts = hostnames.map((hostname) => {
    const attempt = mayStart.then(() =>
      abortable(dial({ hostname, port, signal: either }), either)
    );
    const late = mayStart.then(() =>
      delay(NEXT_ADDRESS_DELAY_MS, { signal: either })
    );
    mayStart = Promise.race([failureOf(attempt), late]);
    mayStart.catch(() => {});
    return attempt;
  });
  try {
    return await Promise.any(attempts);
  } catch (error) {
    signal.throwIfAborted();
    const errors: unknown[] = error instanceof AggregateError
      ? error.errors
      : [error];
    throw errors.find(isPassing) ?? errors.at(-1);
  } finally {
    won.abort();
  }
}

/** Resolves when the promise rejects, and never otherwise. */
function failureOf(promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => promise.catch(() => resolve()));
}

/**
 * All addresses of a name, as the system's resolver orders them.
 *
 * Deno.connect of Deno 2.4 tries only the first, so this is done here; node:dns
 * is loaded only for names, since that takes milliseconds.
 */
async function resolve(hostname: string): Promise<string[]> {
  if (isIPv4(hostname) || isIPv6(hostname)) return [hostname];
  // Deno 2.4 would warn on stderr of what node:dns itself imports.
  Object.assign(process, { noDeprecation: true });
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(hostname, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}

/** Rejects with the signal's reason when it aborts before the promise settles. */
async function abortable<T extends Disposable>(
  promise: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } catch (error) {
    promise.then((late) => late[Symbol.dispose](), () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
