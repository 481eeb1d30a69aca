/**
 * What a run does, once the options are known: meet the peer, join the two ends,
 * say how it ended. One function for each kind of run.
 */

import type { Options } from "./args.ts";
import { connect } from "./client.ts";
import { DEFAULT_DATA_SIZE } from "./framing.ts";
import { pipe } from "./pipe.ts";
import type { Meeting } from "./reliable.ts";
import type { Reporter } from "./report.ts";
import { acceptOne, listen } from "./server.ts";
import { Stdio } from "./stdio.ts";
import { Traffic } from "./traffic.ts";
import { Connection } from "./transport.ts";

/** What every run is given. */
export interface RunContext {
  /** Its abort ends the run, which rejects with its reason. */
  readonly signal: AbortSignal;
  readonly report: Reporter;
}

/** How much one read from the connection takes in `--reliable`, in bytes. */
const RELIABLE_READ_BYTES = 1024 * 1024;

/**
 * Does what the options say, to the end.
 *
 * @throws An error of `errors.ts`. Everything opened has been closed then; a read
 * of stdin may still be pending.
 */
export async function run(
  options: Options,
  context: RunContext,
): Promise<void> {
  if (options.reliable !== undefined) {
    await runReliably(options, context);
  } else if (options.mode === "connect" && options.probe) {
    await probe(options, context);
  } else {
    await runPlainly(options, context);
  }
}

/** One connection, joined to stdin and stdout. */
async function runPlainly(
  options: Options,
  context: RunContext,
): Promise<void> {
  const { signal, report } = context;
  const conn = await meetPeer(options, context);
  const traffic = new Traffic();
  using remote = new Connection(conn, {
    dataSize: options.dataSize ?? DEFAULT_DATA_SIZE,
    traffic,
  });
  const { peer, local: address } = remote;
  report.say({ event: "connected", peer, local: address, probe: false });
  using local = new Stdio(options);
  await pipe(local, remote, {
    signal,
    traffic,
    idleTimeoutMs: options.idleTimeoutMs,
    onHalfClose: (ended) =>
      report.say({ event: ended === "local" ? "stdin-ended" : "peer-ended" }),
  });
  sayClosed(report, traffic);
}

/** A connection, and nothing more. */
async function probe(
  options: Options & { mode: "connect" },
  context: RunContext,
): Promise<void> {
  const conn = await connect(options.address, options.retry, context);
  using remote = new Connection(conn, {
    dataSize: DEFAULT_DATA_SIZE,
    traffic: new Traffic(),
  });
  const { peer, local } = remote;
  context.report.say({ event: "connected", peer, local, probe: true });
}

/** A session over as many connections as it takes, joined to stdin and stdout. */
async function runReliably(
  options: Options,
  context: RunContext,
): Promise<void> {
  const { reliable } = options;
  if (reliable === undefined) return;
  // Loaded only here: the protocol needs zlib and crypto, which take a while.
  const { runReliable } = await import("./reliable.ts");
  const traffic = new Traffic();
  using local = new Stdio(options);
  using meeting = reliableMeeting(options, context);
  await runReliable(
    local,
    meeting,
    { ...reliable, idleTimeoutMs: options.idleTimeoutMs },
    { ...context, traffic },
  );
  sayClosed(context.report, traffic);
}

/** Where the connections of a session come from. */
function reliableMeeting(
  options: Options,
  context: RunContext,
): Meeting & Disposable {
  const wrap = (conn: Deno.TcpConn | Deno.UnixConn) =>
    new Connection(conn, {
      dataSize: options.dataSize ?? RELIABLE_READ_BYTES,
      traffic: new Traffic(),
    });
  if (options.mode === "listen") {
    const { reusePort, acceptTimeoutMs } = options;
    const { report } = context;
    const listener = listen(options.address, { reusePort, report });
    return {
      role: "listen",
      acceptTimeoutMs,
      accept: async () => wrap(await listener.accept()),
      [Symbol.dispose]: () => listener.close(),
    };
  }
  const { address, retry } = options;
  return {
    role: "connect",
    dial: async ({ timeoutMs = retry.timeoutMs, once = false }) => {
      const retries = once ? 0 : retry.retries;
      const limits = { ...retry, timeoutMs, retries };
      return wrap(await connect(address, limits, context));
    },
    [Symbol.dispose]: () => {},
  };
}

function sayClosed(report: Reporter, traffic: Traffic): void {
  report.say({
    event: "closed",
    sent: traffic.sent,
    received: traffic.received,
    durationMs: performance.now() - traffic.startedAt,
  });
}

async function meetPeer(
  options: Options,
  context: RunContext,
): Promise<Deno.TcpConn | Deno.UnixConn> {
  if (options.mode === "connect") {
    return await connect(options.address, options.retry, context);
  }
  using listener = listen(options.address, {
    reusePort: options.reusePort,
    report: context.report,
  });
  return await acceptOne(listener, {
    signal: context.signal,
    timeoutMs: options.acceptTimeoutMs,
  });
}
