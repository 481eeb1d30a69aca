/** `--forward`: our end of a connection is another connection. */

import { abortable } from "@std/async/abortable";
import { libc } from "../base/libc.ts";
import type { DialSettings, RunContext } from "./context.ts";
import type { ProxyVersion } from "../net/proxy_versions.ts";
import type { OpenLocalEnd } from "./join.ts";
import { usesDenoStreams } from "../io/engine.ts";
import type { JoinedSocket } from "../io/joined_pair.ts";
import { SocketRelay } from "../io/socket_relay.ts";
import {
  idleDeadline,
  type LocalEnd,
  type PipeOptions,
  withTotals,
} from "../pipe/pipe.ts";
import { Traffic } from "../pipe/traffic.ts";
import { Connection } from "../net/connection.ts";

/** The longest time that one attempt may take, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Limits of connecting on: one attempt, since a client is waiting. */
const ONCE = {
  delayMs: 0,
  maxDelayMs: 0,
  retries: 0,
  timeoutMs: undefined,
  connectTimeoutMs: CONNECT_TIMEOUT_MS,
} as const;

/**
 * Reads all that is needed to connect to the target of `--forward`.
 *
 * @param settings.dataSize The most that one read may take, in bytes.
 * @returns Opens an end that passes half-closes and failures on; the caller's to
 * close. Rejects when it is not there, or is not trusted.
 * @throws What `prepareDial` throws.
 */
export async function prepareForward(
  { dataSize, keepaliveMs, proxyProtocol, ...settings }:
    & Omit<DialSettings, "connectTimeoutMs">
    & {
      readonly dataSize: number;
      readonly keepaliveMs: number;
      /** The PROXY header that is sent first, if any. */
      readonly proxyProtocol: ProxyVersion | undefined;
    },
  { prepareDial, report, signal }: RunContext,
): Promise<OpenLocalEnd> {
  const { connectTimeoutMs } = ONCE;
  const preparing = prepareDial({ ...settings, connectTimeoutMs }, report);
  const dial = await abortable(preparing, signal);
  const introduce = proxyProtocol && await proxyHeaderSender(proxyProtocol);
  return async (client, signal) => {
    const target = new Connection(await dial(ONCE, signal), {
      dataSize,
      keepaliveMs,
      traffic: new Traffic(),
    });
    client.traffic.targetLine = target;
    await introduce?.(client, target);
    return localEnd(target, dataSize);
  };
}

/** Loads the sender of the PROXY header, which tells the target who the client is. */
async function proxyHeaderSender(
  version: ProxyVersion,
): Promise<(client: Connection, target: Connection) => Promise<void>> {
  const { proxyHeader } = await import("../net/proxy_protocol.ts");
  return async ({ endpoints: { source, destination } }, target) => {
    try {
      await target.sink.write(proxyHeader(version, source, destination));
    } catch (error) {
      target.abort();
      throw error;
    }
  };
}

function localEnd(target: Connection, dataSize: number): LocalEnd {
  return {
    source: target.source,
    sink: target.sink,
    failed: target.failed,
    sends: true,
    endsWithPeer: false,
    joinDirectly: (remote, options) =>
      remote instanceof Connection
        ? joinSockets(remote, target, dataSize, options)
        : undefined,
    close: () => target.close(),
    abort: () => target.abort(),
    [Symbol.dispose]: () => target.close(),
  };
}

/** The relay that all connections of this process share. */
let relay: SocketRelay | undefined;

/** Joins two plain sockets past Deno's streams, where the system can do that. */
function joinSockets(
  remote: Connection,
  target: Connection,
  dataSize: number,
  options: PipeOptions,
): Promise<void> | undefined {
  const c = usesDenoStreams() ? undefined : libc();
  if (c === undefined) return undefined;
  relay ??= SocketRelay.open(c, dataSize);
  const sockets = [remote, target].map(joinedSocket);
  const [first, second] = sockets;
  if (relay === undefined || first === undefined || second === undefined) {
    return undefined;
  }
  return join(relay, [first, second], [remote, target], options);
}

async function join(
  relay: SocketRelay,
  [first, second]: [JoinedSocket, JoinedSocket],
  connections: readonly Connection[],
  { signal, traffic, idleTimeoutMs }: PipeOptions,
): Promise<void> {
  using deadline = idleDeadline(signal, traffic, idleTimeoutMs);
  try {
    await relay.join(first, second, { signal: deadline.signal, traffic });
  } catch (error) {
    for (const connection of connections) connection.abort();
    throw withTotals(error, traffic);
  }
}

function joinedSocket(connection: Connection): JoinedSocket | undefined {
  // Not limited to what suits the cache: a sender that waits for us costs more.
  const descriptor = connection.plainDescriptor();
  return descriptor && {
    fd: descriptor.fd,
    peer: connection.peer,
    shutdown: () => descriptor.shutdownWrite(),
    takeError: () => descriptor.takeError(),
  };
}
