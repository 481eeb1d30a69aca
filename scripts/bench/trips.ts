/**
 * The driver of round trips, in a process of its own since it blocks:
 *
 *     deno run bench_trips.ts TRIPS BYTES
 *
 * Writes messages to stdout, waits for each on stdin, compares it, and prints the
 * median time of a trip in µs on stderr. Exits 1 when an answer is wrong.
 */

import { median } from "./stats.ts";

/** So many more trips come first, until everything is warm. */
const WARM_UP = 200;

const [trips = 0, bytes = 0] = Deno.args.map(Number);
const message = new Uint8Array(bytes);
const answer = new Uint8Array(bytes);
const times: number[] = [];

for (let trip = 0; trip < WARM_UP + trips; trip++) {
  message.fill(trip);
  const startedAt = performance.now();
  send();
  receive();
  if (trip >= WARM_UP) times.push(performance.now() - startedAt);
  if (answer.some((byte, at) => byte !== message[at])) {
    throw new Error(`Trip ${trip} brought another answer`);
  }
}
Deno.stderr.writeSync(
  new TextEncoder().encode(`${(median(times) * 1000).toFixed(2)}\n`),
);

function send(): void {
  for (let rest = message; rest.length > 0;) {
    rest = rest.subarray(Deno.stdout.writeSync(rest));
  }
}

function receive(): void {
  for (let room = answer; room.length > 0;) {
    const count = Deno.stdin.readSync(room);
    if (count === null) throw new Error("The answers ended");
    room = room.subarray(count);
  }
}
