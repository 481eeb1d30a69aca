/**
 * What a run does, once the options are known: meet the peer, join the two ends,
 * say how it ended. One function for each kind of run.
 */

import { delay } from "@std/async/delay";
import { formatAddress } from "../net/address.ts";
import type {
  ConnectOptions,
  ListenOptions,
  Options,
  RetryOptions,
} from "../cli/options.ts";
import { connect, retryDelayMs } from "../../client.ts";
import { type Duplex, withEnds } from "../pipe/duplex.ts";
import type { OpenEnd } from "./local_end.ts";
import { pipe, type PipeOptions } from "../pipe/pipe.ts";
import type { Meter } from "../report/meter.ts";
import type { Meeting } from "../reliable/reliable.ts";
import type { Reporter } from "../report/reporter.ts";
import { acceptOne, listen } from "../../server.ts";
import type { Listener } from "../net/listener.ts";
import type { Session } from "../reliable/session.ts";
import { Stdio } from "../io/stdio.ts";
import type { ListenTls } from "../tls/tls.ts";
import { Traffic } from "../pipe/traffic.ts";
import { Connection } from "../net/connection.ts";
import type { Socket } from "../net/socket.ts";
import { hex } from "../base/units.ts";

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
  } else if (options.mode === "listen" && options.keepOpen !== undefined) {
    const { serveMany } = await import("./keep_open.ts");
    using around = await openAround(options);
    using meter = await maybeMeter(options, context.report);
    await serveMany(options, options.keepOpen, {
      ...context,
      openListener: () => openListener(options, context.report),
      wrap: (remote, peer) => around.wrap(remote, peer),
      meter,
    });
  } else {
    await runPlainly(options, context);
  }
}

/** One connection, joined to our end. */
async function runPlainly(
  options: Options,
  context: RunContext,
): Promise<void> {
  const { signal, report } = context;
  using around = await openAround(options);
  const join = await ownEnd(options, report);
  const conn = await meetPeer(options, context);
  const traffic = new Traffic();
  using remote = new Connection(conn, {
    dataSize: options.dataSize,
    traffic,
  });
  const { peer, local: address } = remote;
  report.say({ event: "connected", peer, local: address, probe: false });
  report.follow(() => ({
    sent: traffic.sent,
    received: traffic.received,
    connectedMs: performance.now() - traffic.startedAt,
  }));
  await join(remote, around.wrap(remote, peer), {
    signal,
    traffic,
    idleTimeoutMs: options.idleTimeoutMs,
    onHalfClose: (ended) => {
      // With --receive-only nobody waits for our side; it ends at once.
      if (ended === "peer" && options.receiveOnly) return;
      report.say({ event: ended === "local" ? "stdin-ended" : "peer-ended" });
    },
  });
}

/** What the user wants around every connection: a record, a limited rate. */
interface Around extends Disposable {
  /** @param peer The peer's address, for the record. */
  wrap(remote: Duplex, peer: string): Duplex;
}

async function openAround(options: Options): Promise<Around> {
  const { dump, limitRate, reliable } = options;
  const many = reliable !== undefined ||
    options.mode === "listen" && options.keepOpen !== undefined;
  const record = dump === undefined
    ? undefined
    : (await import("../pipe/dump.ts")).openDump(dump, { many });
  const paced = limitRate === undefined
    ? undefined
    : (await import("../pipe/rate_limit.ts")).paced;
  return {
    wrap(remote, peer) {
      const recorded = record?.recorded(remote, peer) ?? remote;
      return paced?.(recorded, limitRate ?? Infinity) ?? recorded;
    },
    [Symbol.dispose]: () => record?.[Symbol.dispose](),
  };
}

async function maybeMeter(
  options: Options,
  report: Reporter,
): Promise<Meter | undefined> {
  const { progress, size, talk, message, sendOnly, receiveOnly, end } = options;
  if (!progress) return undefined;
  const { startMeter } = await import("../report/meter.ts");
  const many = options.mode === "listen" && options.keepOpen !== undefined;
  const broker = options.mode === "listen" && options.keepOpen?.broker;
  const writes = (end.kind === "stdio" || end.kind === "serve") && !broker;
  const reads = end.kind === "stdio" && message === undefined &&
    !receiveOnly && !broker;
  const sends = end.kind === "serve" ? end : reads ? "stdin" : undefined;
  return await startMeter(report, {
    size,
    json: talk === "json",
    // To how many it will go is not known.
    sends: many ? undefined : sends,
    writesStdout: writes && !sendOnly,
    hasCompany: end.kind === "exec" || reads && Deno.stdin.isTerminal(),
  });
}

/** Joins a connection, and what is around it, with our end. */
type Join = (
  peer: Connection,
  remote: Duplex,
  options: PipeOptions,
) => Promise<void>;

async function ownEnd(options: Options, report: Reporter): Promise<Join> {
  if (options.end.kind === "stdio") {
    return async (_peer, remote, pipeOptions) => {
      using local = new Stdio(options);
      using meter = await maybeMeter(options, report);
      await pipe(meter?.inFrontOf(local) ?? local, remote, pipeOptions);
    };
  }
  const { endOpener, join } = await import("./local_end.ts");
  const open = await endOpener(options, report);
  return async (peer, remote, pipeOptions) => {
    using meter = await maybeMeter(options, report);
    const behindMeter: OpenEnd = async (peer, signal) => {
      const local = await open(peer, signal);
      return meter?.inFrontOf(local) ?? local;
    };
    await join(behindMeter, peer, remote, pipeOptions);
  };
}

/** A connection, and nothing more. */
async function probe(
  options: Options & { mode: "connect" },
  context: RunContext,
): Promise<void> {
  const conn = await meetPeer(options, context);
  using remote = new Connection(conn, {
    dataSize: undefined,
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
  const { runReliable } = await import("../reliable/reliable.ts");
  const { tokenFile } = reliable;
  const token = tokenFile === undefined
    ? undefined
    : await import("../reliable/token.ts").then(({ readToken }) =>
      readToken(tokenFile)
    );
  const traffic = new Traffic();
  using around = await openAround(options);
  using local = new Stdio(options);
  using meeting = await reliableMeeting(options, context, around);
  using meter = await maybeMeter(options, context.report);
  const session = await runReliable(
    meter?.inFrontOf(local) ?? local,
    meeting,
    { ...reliable, token, idleTimeoutMs: options.idleTimeoutMs },
    { ...context, traffic },
  );
  sayVerified(context.report, session);
}

/** Where the connections of a session come from. */
async function reliableMeeting(
  options: Options,
  context: RunContext,
  around: Around,
): Promise<Meeting & Disposable> {
  const wrap = (conn: Socket) => {
    const connection = new Connection(conn, {
      dataSize: options.dataSize ?? RELIABLE_READ_BYTES,
      traffic: new Traffic(),
    });
    return {
      ...withEnds(around.wrap(connection, connection.peer), {}),
      peer: connection.peer,
    };
  };
  if (options.mode === "listen") {
    const { acceptTimeoutMs } = options;
    const listener = await openListener(options, context.report);
    return {
      role: "listen",
      acceptTimeoutMs,
      accept: async () => wrap(await listener.accept()),
      [Symbol.dispose]: () => listener.close(),
    };
  }
  const { address, retry } = options;
  const dial = await dialer(options, context);
  return {
    role: "connect",
    retries: retry.retries,
    timeoutMs: retry.timeoutMs,
    pause: async (reason, { attempt, mostMs = Infinity }) => {
      const { report, signal } = context;
      const wantedMs = retryDelayMs(attempt, retry, Math.random);
      const delayMs = Math.max(0, Math.min(wantedMs, Math.round(mostMs)));
      const name = formatAddress(address);
      report.say({ event: "retrying", address: name, reason, delayMs });
      await delay(delayMs, { signal });
    },
    dial: async ({ timeoutMs = retry.timeoutMs, once = false }) => {
      const retries = once ? 0 : retry.retries;
      const limits = { ...retry, timeoutMs, retries };
      return wrap(await dial(limits));
    },
    [Symbol.dispose]: () => {},
  };
}

/** Listens, for those who may connect and, with `--tls`, have been judged. */
async function openListener(
  options: ListenOptions,
  report: Reporter,
): Promise<Listener> {
  const { address, access, reusePort, tls } = options;
  const admits = access && await import("../net/access_list.ts").then(
    ({ accessList }) => accessList(access),
  );
  const open = async (tls?: ListenTls) => {
    const listener = listen(address, { reusePort, report, tls });
    if (admits === undefined) return listener;
    const { guarded } = await import("../net/access_list.ts");
    return guarded(listener, admits, (peer) => {
      report.say({ event: "refused", peer: formatAddress(peer) });
    });
  };
  if (tls === undefined || address.transport === "unix") return await open();
  const { invitation, prepareServer, TlsListener } = await import(
    "../tls/tls.ts"
  );
  const server = await prepareServer(tls, address);
  const listener = await open(server.listenTls);
  const { pin, isNew } = server;
  if (pin !== undefined) {
    const text = invitation(address, listener.address, pin);
    report.say({ event: "pin", pin, isNew, invitation: text });
  }
  return new TlsListener(listener, server, report);
}

function sayVerified(report: Reporter, session: Session): void {
  const sent = session.outgoingSummary?.digest;
  const received = session.incomingSummary?.digest;
  if (sent === undefined || received === undefined) return;
  report.say({
    event: "verified",
    sentSha256: hex(sent),
    receivedSha256: hex(received),
  });
}

async function meetPeer(
  options: Options,
  context: RunContext,
): Promise<Socket> {
  if (options.mode === "connect") {
    const dial = await dialer(options, context);
    return await dial(options.retry);
  }
  using listener = await openListener(options, context.report);
  return await acceptOne(listener, {
    signal: context.signal,
    timeoutMs: options.acceptTimeoutMs,
  });
}

/** How the peer is connected to, and has passed TLS, if that is wanted. */
async function dialer(
  { address, retry, tls }: ConnectOptions,
  context: RunContext,
): Promise<(limits: RetryOptions) => Promise<Socket>> {
  if (tls === undefined || address.transport === "unix") {
    return (limits) => connect(address, limits, context);
  }
  const { prepareClient } = await import("../tls/tls.ts");
  const { dial, secure } = await prepareClient(
    tls,
    address,
    retry,
    context.report,
  );
  return async (limits) =>
    await secure(
      await connect(address, limits, { ...context, dial }),
      context.signal,
    );
}
