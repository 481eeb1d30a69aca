/** The totals of one connection, and of all of a run with many. */

import type { Options } from "../cli/options.ts";
import type {
  ConnectionTotals,
  LocalEndName,
  Totals,
} from "../report/event.ts";
import { addWaits, NOT_WAITED, type Traffic } from "../pipe/traffic.ts";

/** Finds the name of what is at our end; `undefined` for stdin and stdout. */
export function localEndName(options: Options): LocalEndName | undefined {
  switch (options.end.kind) {
    case "stdio": {
      const isBroker = options.mode === "listen" && options.keepOpen?.broker;
      return isBroker ? "clients" : undefined;
    }
    case "serve":
      return "file";
    case "forward":
      return "target";
    case "exec":
      return "command";
  }
}

/**
 * Makes the totals of one connection, so far or once it has ended.
 *
 * @param now As `performance.now()`, in ms.
 */
export function connectionTotals(
  { sent, received, startedAt, waited, line, targetLine }: Traffic,
  localEnd: LocalEndName | undefined,
  now: number = performance.now(),
): ConnectionTotals {
  const target = targetLine?.tcpInfo;
  return {
    sent,
    received,
    connectedMs: now - startedAt,
    waitedMs: waited.total(now),
    ...localEnd === undefined ? {} : { localEnd },
    ...line?.tcpInfo,
    ...target === undefined ? {} : {
      targetRoundTripMs: target.roundTripMs,
      targetRetransmits: target.retransmits,
    },
  };
}

/** The totals of all clients of a run, as they come and leave. */
export class ClientTotals {
  /** The number of clients that have come. */
  accepted = 0;
  readonly #localEnd: LocalEndName | undefined;
  readonly #present = new Set<Traffic>();
  /** The time of the first client, as `performance.now()`. */
  #startedAt: number | undefined;
  #left = { sent: 0, received: 0, connectedMs: 0, waitedMs: NOT_WAITED };

  constructor(localEnd: LocalEndName | undefined) {
    this.#localEnd = localEnd;
  }

  /** Counts a client that has come. */
  accept(traffic: Traffic): void {
    this.accepted++;
    this.#startedAt ??= traffic.startedAt;
    this.#present.add(traffic);
  }

  /** Keeps what a client has moved that has left. */
  leave(traffic: Traffic): void {
    this.#present.delete(traffic);
    this.#left = add(this.#left, connectionTotals(traffic, undefined));
  }

  /** Adds up all of them, also those that have left. */
  total(): Totals {
    const now = performance.now();
    const localEnd = this.#localEnd;
    let sum = this.#left;
    for (const traffic of this.#present) {
      sum = add(sum, connectionTotals(traffic, undefined, now));
    }
    const { connectedMs: clientsMs, ...moved } = sum;
    return {
      ...moved,
      connectedMs: now - (this.#startedAt ?? now),
      clientsMs,
      ...localEnd === undefined ? {} : { localEnd },
      clients: this.accepted,
      connected: this.#present.size,
    };
  }
}

type Sum = Required<
  Pick<ConnectionTotals, "sent" | "received" | "connectedMs" | "waitedMs">
>;

function add(sum: Sum, one: ConnectionTotals): Sum {
  return {
    sent: sum.sent + one.sent,
    received: sum.received + one.received,
    connectedMs: sum.connectedMs + one.connectedMs,
    waitedMs: addWaits(sum.waitedMs, one.waitedMs ?? NOT_WAITED),
  };
}
