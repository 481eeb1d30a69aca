/** What there is to say of the one connection of a run. */

import type { Connection } from "../net/connection.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Totals } from "../report/event.ts";
import type { Traffic } from "../pipe/traffic.ts";

/**
 * Lets the summary, the status and the meter tell of a connection.
 *
 * @param tellsWaits Whether it is stdin and stdout that are waited for.
 * @returns Disposing, before the connection is closed, keeps what the system has
 * told of it last.
 */
export function followConnection(
  connection: Connection,
  traffic: Traffic,
  report: Reporter,
  tellsWaits: boolean,
): Disposable {
  const ask = () => connection.descriptor?.tcpInfo();
  let asked = ask;
  report.follow((): Totals => {
    const now = performance.now();
    const { sent, received, startedAt, waited } = traffic;
    return {
      sent,
      received,
      connectedMs: now - startedAt,
      ...tellsWaits ? { waitedMs: waited.at(now) } : {},
      ...asked(),
    };
  });
  return {
    [Symbol.dispose]() {
      const last = ask();
      asked = () => last;
    },
  };
}
