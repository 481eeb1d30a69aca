/** The part of a transfer that holds it up. */

import type { WaitedFor, WaitedMs } from "../pipe/traffic.ts";
import type { LocalEndName, Totals } from "./event.ts";

/** The share of the time from which on a wait is mentioned. */
const LEAST_SHARE = 0.5;

/** The longest wait, and its share of the time. */
export interface SlowPart {
  readonly what: WaitedFor;
  /** 0 to 1. */
  readonly share: number;
}

/**
 * Finds what holds up the direction in which more has moved. When as much has moved
 * both ways, maybe nothing, it is the receiving one if stdout takes nothing, else
 * the sending one.
 *
 * @param totals The bytes that have moved and the time waited, within `lastedMs`.
 * @returns `undefined` when no wait took half of the time.
 */
export function slowPart(
  { sent, received, waitedMs }: {
    readonly sent: number;
    readonly received: number;
    readonly waitedMs?: WaitedMs | undefined;
  },
  lastedMs: number,
): SlowPart | undefined {
  if (waitedMs === undefined || lastedMs <= 0) return undefined;
  const isStdoutStuck = waitedMs.stdout >= LEAST_SHARE * lastedMs;
  const [from, to] = received > sent || received === sent && isStdoutStuck
    ? ["receiving", "stdout"] as const
    : ["stdin", "sending"] as const;
  const what = waitedMs[from] >= waitedMs[to] ? from : to;
  const share = Math.min(1, waitedMs[what] / lastedMs);
  return share < LEAST_SHARE ? undefined : { what, share };
}

type Words = Readonly<Record<WaitedFor, string>>;

/** The words for what the peer waits for, from our point of view. */
export const PEER_WORDS: Words = {
  stdin: "its stdin",
  sending: "us to take it",
  receiving: "us to send",
  stdout: "the reader of its stdout",
};

const OWN_WORDS: Words = {
  stdin: "stdin",
  sending: "the peer to take it",
  receiving: "the peer to send",
  stdout: "the reader of stdout",
};

const LOCAL_END_WORDS: Readonly<Record<LocalEndName, Partial<Words>>> = {
  file: { stdin: "the file" },
  target: { stdin: "the target to send", stdout: "the target to take it" },
  command: { stdin: "the command to write", stdout: "the command to read" },
  clients: { stdin: "others to send", stdout: "others to take it" },
};

/** Finds the words for what is waited for, by what is at both ends. */
export function wordsOf(
  what: WaitedFor,
  { localEnd, clients }: Pick<Totals, "localEnd" | "clients">,
): string {
  const words = {
    ...OWN_WORDS,
    ...localEnd === undefined ? {} : LOCAL_END_WORDS[localEnd],
  }[what];
  return clients === undefined ? words : words.replace("the peer", "clients");
}
