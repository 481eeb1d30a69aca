/** Events as sentences, for people. */

import { countBytes, countClients, countConnections } from "../pipe/traffic.ts";
import type { Event, Progress, Totals } from "./event.ts";
import { EXIT } from "../base/errors.ts";
import { PEER_WORDS, type SlowPart, slowPart, wordsOf } from "./slow_part.ts";
import { formatDuration, formatRate } from "../base/units.ts";

/** Every event by its name. */
type Events = { [K in Event["event"]]: Extract<Event, { event: K }> };

/** Writes an event as one sentence, without a period. */
export function sentence<K extends keyof Events>(
  event: Events[K] & { readonly event: K },
): string {
  const name: K = event.event;
  return SENTENCES[name](event);
}

const SENTENCES: { [K in keyof Events]: (event: Events[K]) => string } = {
  listening: ({ address, exposed }) =>
    `listening on ${address}` +
    (exposed ? " (other machines can reach it)" : ""),
  connecting: ({ address, attempt }) =>
    `connecting to ${address}` + (attempt > 1 ? `, attempt ${attempt}` : ""),
  retrying: ({ address, reason, delayMs }) =>
    `cannot connect to ${address}: ${reason}; next attempt in ${
      formatDuration(delayMs)
    }`,
  reconnecting: ({ address, delayMs }) =>
    `connecting to ${address} again` +
    (delayMs === 0 ? "" : ` in ${formatDuration(delayMs)}`),
  connected: ({ peer, local, probe }) =>
    probe ? `${peer} is there` : `connected to ${peer} from ${local}`,
  session: ({ peer, resumed }) =>
    `session with ${peer} ${resumed ? "resumed" : "begun"}`,
  interrupted: ({ peer, confirmed, received }) =>
    `the connection to ${peer} broke with ${confirmed} bytes confirmed and ${received} bytes received; resuming`,
  left: ({ peer, ...totals }) => `${peer} has ended: ${summary(totals)}`,
  failed: ({ peer, reason }) => `${peer}: ${lowerFirst(reason)}`,
  refused: ({ peer }) => `${peer} may not connect (--allow, --deny)`,
  full: ({ count }) =>
    `${
      countConnections(count)
    } at once (--max-connections): the next one waits`,
  "no-descriptors": () =>
    "out of file descriptors: new connections wait until others end (ulimit -n)",
  stopping: ({ count, graceMs }) =>
    `stopping: ${countConnections(count)} may finish within ${
      formatDuration(graceMs)
    } (--grace)`,
  "cut-off": ({ count }) => `${countConnections(count)} had not finished`,
  verified: ({ sentSha256, receivedSha256 }) =>
    `sha256 of what was sent: ${sentSha256}, received: ${receivedSha256}`,
  checking: ({ path, bytes }) =>
    `checking the ${countBytes(bytes)} that are there: ${path}`,
  continuing: ({ held, from }) =>
    from === held
      ? `going on after the ${countBytes(held)} that an earlier run has left`
      : `what an earlier run has left differs: of its ${
        countBytes(held)
      }, the first ${from} are right; going on from there`,
  saved: ({ path, bytes, elapsedMs, rate, sha256 }) =>
    [
      `${countBytes(bytes)} are on the disk: ${path}`,
      `in ${formatDuration(Math.round(elapsedMs))}`,
      ...rate === undefined ? [] : [formatRate(rate)],
      ...sha256 === undefined ? [] : [`sha256 ${sha256}`],
    ].join(", "),
  kept: ({ path, bytes, resumable, command }) =>
    `${countBytes(bytes)} are kept in ${path}` +
    (command === undefined
      ? ""
      : `; to go on from there${
        resumable ? "" : ", with --reliable --resume on both sides"
      }: ${command}`),
  unfinished: ({ command }) =>
    `to go on where this has ended, with the same stdin: ${command}`,
  "handshake-failed": ({ peer, reason }) => `refused ${peer}: ${reason}`,
  pin: ({ invitation, needs }) =>
    needs === undefined
      ? `to connect: ${invitation}`
      : `to connect, with a sockpipe that ${needs} runs, as this one cannot: ${invitation}`,
  secured: ({ peer, version }) => `${version} with ${peer}`,
  insecure: ({ peer }) =>
    `warning: ${peer} is not verified (--tls-insecure); anybody on the way can read and change everything`,
  "stdin-ended": () =>
    "everything from here is sent; waiting for the peer to end",
  "peer-ended": () => "the peer has ended; waiting for the end of stdin",
  progress: (event) =>
    `${summary(event)}, now ${formatRate(event.sentRate + event.receivedRate)}${
      remaining(event)
    }${slowly(event)}`,
  error: ({ message }) => message,
  closed: (event) =>
    (event.exitCode === EXIT.ok ? "both sides ended: " : "") + summary(event),
};

/** The shortest run whose summary says what was waited for, in ms. */
const LEAST_TIMED_MS = 1000;

/** Writes "sent 5242880 bytes, received 0 bytes, in 500ms; 10.0 MiB/s out". */
export function summary(totals: Totals): string {
  const { sent, received, connectedMs, confirmed, breaks } = totals;
  const { clients, connected, retransmits } = totals;
  const amounts = [
    `sent ${countBytes(sent)}`,
    `received ${countBytes(received)}`,
    `in ${formatDuration(connectedMs)}`,
    ...retransmits === undefined || retransmits === 0
      ? []
      : [`${retransmits} segments sent again`],
    ...confirmed === undefined ? [] : [`${countBytes(confirmed)} confirmed`],
    ...breaks === undefined || breaks === 0
      ? []
      : [`${breaks} broken connection${breaks === 1 ? "" : "s"} survived`],
    ...clients === undefined ? [] : [countClients(clients)],
    ...connected === undefined || connected === 0
      ? []
      : [`${connected} of them connected`],
  ];
  if (connectedMs >= LEAST_TIMED_MS) amounts.push(...waits(totals));
  const rates = [[sent, "out"], [received, "in"]] as const;
  const shown = rates
    .filter(([bytes]) => bytes > 0 && connectedMs >= 1)
    .map(([bytes, direction]) =>
      `${formatRate(bytes * 1000 / connectedMs)} ${direction}`
    );
  return [amounts.join(", "), ...shown.length > 0 ? [shown.join(", ")] : []]
    .join("; ");
}

/** Says what was waited for most of the time, here and at the peer's. */
function waits(totals: Totals): string[] {
  const { sent, received, connectedMs, clientsMs, peerWaitedMs } = totals;
  const said: string[] = [];
  const own = slowPart(totals, clientsMs ?? connectedMs);
  if (own !== undefined) {
    const words = wordsOf(own.what, totals);
    said.push(`${percentOf(own)} of the time waiting for ${words}`);
  }
  const moved = { sent: received, received: sent, waitedMs: peerWaitedMs };
  const peers = slowPart(moved, connectedMs);
  if (peers !== undefined) {
    const words = PEER_WORDS[peers.what];
    said.push(`the peer waiting ${percentOf(peers)} of the time for ${words}`);
  }
  return said;
}

function percentOf({ share }: SlowPart): string {
  return `${Math.round(share * 100)} %`;
}

function slowly(progress: Progress): string {
  const { slow } = progress;
  return slow === undefined ? "" : `; waits for ${wordsOf(slow, progress)}`;
}

function remaining({ percent, etaMs }: Progress): string {
  if (percent === undefined) return "";
  const left = etaMs === undefined || etaMs === 0
    ? ""
    : `, ${formatDuration(Math.ceil(etaMs / 1000) * 1000)} left`;
  return `; ${Math.floor(percent)}%${left}`;
}

/**
 * Lowers the first letter, so that a sentence can follow a colon; abbreviations
 * stay.
 */
export function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text)
    ? text.charAt(0).toLowerCase() + text.slice(1)
    : text;
}
