/** The totals of a run with one connection. */

import type { Connection } from "../net/connection.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Totals } from "../report/event.ts";
import type { Traffic } from "../pipe/traffic.ts";

/**
 * Makes a connection the source of the totals for summary, status and meter.
 *
 * @param countsWaits Whether waits are counted: those for stdin and stdout.
 * @returns Dispose of it before the connection is closed: it keeps the last
 * measurements of the system.
 */
export function followConnection(
  connection: Connection,
  traffic: Traffic,
  report: Reporter,
  countsWaits: boolean,
): Disposable {
  const ask = () => connection.descriptor?.tcpInfo();
  let tcpInfo = ask;
  report.setTotals((): Totals => {
    const now = performance.now();
    const { sent, received, startedAt, waited } = traffic;
    return {
      sent,
      received,
      connectedMs: now - startedAt,
      ...countsWaits ? { waitedMs: waited.total(now) } : {},
      ...tcpInfo(),
    };
  });
  return {
    [Symbol.dispose]() {
      const last = ask();
      tcpInfo = () => last;
    },
  };
}
