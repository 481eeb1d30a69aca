/** The totals of one connection, and of all clients of a listener. */

import { assert, assertEquals } from "@std/assert";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import {
  ClientTotals,
  connectionTotals,
} from "../../../lib/run/connection_totals.ts";

/** A connection that has sent so much, and waited so long for it. */
function trafficOf(sent: number, waitedMs: number): Traffic {
  const traffic = new Traffic();
  traffic.addSent(sent);
  traffic.waited.add("sending", waitedMs);
  return traffic;
}

Deno.test("connectionTotals() has both lines of a forwarder", () => {
  const traffic = trafficOf(1, 2);
  traffic.line = { tcpInfo: { roundTripMs: 3, retransmits: 4 } };
  traffic.targetLine = { tcpInfo: { roundTripMs: 5, retransmits: 6 } };
  const totals = connectionTotals(traffic, "target", traffic.startedAt + 7);
  assertEquals(totals, {
    sent: 1,
    received: 0,
    connectedMs: 7,
    waitedMs: { stdin: 0, sending: 2, receiving: 0, stdout: 0 },
    localEnd: "target",
    roundTripMs: 3,
    retransmits: 4,
    targetRoundTripMs: 5,
    targetRetransmits: 6,
  });
});

Deno.test("ClientTotals adds up those that are there and those that have left", () => {
  const totals = new ClientTotals("command");
  assertEquals(totals.total().connectedMs, 0);
  const [left, present] = [trafficOf(1, 10), trafficOf(2, 20)];
  for (const traffic of [left, present]) totals.accept(traffic);
  totals.leave(left);
  present.addSent(3);
  const { sent, waitedMs, clients, connected, localEnd, ...times } = totals
    .total();
  assertEquals([sent, waitedMs?.sending], [6, 30]);
  assertEquals([clients, connected, localEnd], [2, 1, "command"]);
  // Each counts its own time, and the run that since the first.
  assert((times.clientsMs ?? 0) >= times.connectedMs);
});
