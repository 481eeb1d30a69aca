/** A run with `--reliable`: a session over as many connections as it takes. */

import { abortable } from "@std/async/abortable";
import type {
  ConnectOptions,
  ListenOptions,
  Options,
  RetryOptions,
} from "../cli/options.ts";
import { Connection, type ConnectionOptions } from "../net/connection.ts";
import { formatAddress } from "../net/address.ts";
import { libc } from "../base/libc.ts";
import { hex } from "../base/units.ts";
import {
  type Layers,
  openLayers,
  openMeter,
  type RunContext,
} from "./context.ts";
import type { Listener } from "../net/listener.ts";
import type { Socket } from "../net/socket.ts";
import {
  type PeerSource,
  runReliable,
  type SessionResult,
} from "../reliable/reliable.ts";
import { pauseBeforeRetry } from "./retry.ts";
import type { PeerConnection } from "../reliable/frame_connection.ts";
import type { ReliableSettings } from "../reliable/settings.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Session } from "../reliable/session.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import type { OutputFile } from "./output_file.ts";
import { dropRightsOnceOpen } from "./rights.ts";
import { readsStdin, sentSize } from "./sent_size.ts";
import { usesDenoStreams } from "../io/engine.ts";
import { Descriptor } from "../io/descriptor.ts";
import { PolledDescriptor } from "../io/polled_descriptor.ts";
import { SharedPoll } from "../io/shared_poll.ts";
import { Stdio, type StdioOptions } from "../io/stdio.ts";
import { Traffic, type WaitTimes } from "../pipe/traffic.ts";
import { withStreams } from "../pipe/duplex.ts";

/** The most that one read from a connection takes, in bytes. */
const READ_BYTES = 1024 * 1024;

/** The options of a run with `--reliable`. */
type Reliable<T extends Options> = T & { readonly reliable: ReliableSettings };

/**
 * Runs the listening side of a session, until both sides know that all has arrived.
 *
 * @param open Opens the listener; called once everything else is ready.
 * @throws What `runReliable` throws. Everything opened has been closed then; a read
 * of stdin may still be pending.
 */
export async function runReliableServer(
  options: Reliable<ListenOptions>,
  context: RunContext,
  open: () => Promise<Listener>,
): Promise<void> {
  const { acceptTimeoutMs } = options;
  await runSession(options, context, async (toPeerConnection) => {
    const listener = await open();
    return {
      role: "listen",
      acceptTimeoutMs,
      accept: async () => toPeerConnection(await listener.accept()),
      [Symbol.dispose]: () => listener.close(),
    };
  });
}

/**
 * Runs the connecting side of a session, until both sides know that all has arrived.
 *
 * @param dial Connects, within limits.
 * @throws What `runReliable` throws. Everything opened has been closed then; a read
 * of stdin may still be pending.
 */
export async function runReliableClient(
  options: Reliable<ConnectOptions>,
  context: RunContext,
  dial: (limits: RetryOptions) => Promise<Socket>,
): Promise<void> {
  const { retry } = options;
  const address = formatAddress(options.address);
  await runSession(options, context, (toPeerConnection) =>
    Promise.resolve({
      role: "connect",
      retries: retry.retries,
      timeoutMs: retry.timeoutMs,
      pause: (reason, limits) =>
        pauseBeforeRetry({ address, reason, retry, ...limits }, context),
      dial: async ({ timeoutMs = retry.timeoutMs, once = false }) => {
        const retries = once ? 0 : retry.retries;
        return toPeerConnection(await dial({ ...retry, timeoutMs, retries }));
      },
      [Symbol.dispose]: () => {},
    }));
}

/** Makes a connection of a session out of a socket. */
type ToPeerConnection = (socket: Socket) => PeerConnection;

async function runSession(
  options: Reliable<Options>,
  context: RunContext,
  openPeers: (
    toPeerConnection: ToPeerConnection,
  ) => Promise<PeerSource & Disposable>,
): Promise<void> {
  const { reliable, idleTimeoutMs, keepaliveMs } = options;
  const { dataSize = READ_BYTES } = options;
  const { signal } = context;
  const token = await abortable(tokenOf(reliable), signal);
  const writeReceipt = await abortable(prepareReceipt(options), signal);
  const traffic = new Traffic();
  await using poll = openPoll(options);
  using layers = await openLayers(options);
  using output = await openOutputOf(options, context);
  using local = localEndOf({ ...options, poll }, output, traffic.waited);
  using peers = await openPeers((socket) =>
    connectionOf(socket, { dataSize, keepaliveMs, poll }, layers)
  );
  using meter = await openMeter(options, context.report);
  const size = await sentSize(options);
  dropRightsOnceOpen(options);
  const run = runReliable(
    meter?.wrap(local) ?? local,
    peers,
    {
      ...reliable,
      token,
      idleTimeoutMs,
      resumesFiles: reliable.resume,
      held: reliable.resume ? output : undefined,
      size,
      onPeerSize: async (bytes) => {
        meter?.expect(bytes);
        await output?.setRoomAside(bytes);
      },
      hashes: reliable.receiptFile !== undefined,
    },
    { ...context, traffic },
  );
  const result = await run.catch((error) => {
    reportUnfinished(options, context.report);
    throw error;
  });
  const { session } = result;
  reportVerified(context.report, session);
  const { sha256 } = session.incoming;
  output?.reportSaved(sha256 && hex(sha256));
  await writeReceipt?.(result);
}

/**
 * Checks what a receipt takes, first, so that it is refused before anything is
 * opened.
 *
 * @returns A function that writes it at the end; `undefined` when there is to be none.
 */
async function prepareReceipt(
  { reliable, tls, output }: Reliable<Options>,
): Promise<((result: SessionResult) => Promise<void>) | undefined> {
  const { receiptFile, overwritesReceipt, tokenFile } = reliable;
  if (receiptFile === undefined) return undefined;
  const { checkReceiptFile, receiptOf, writeReceipt } = await import(
    "../reliable/receipt.ts"
  );
  const { receiptKey } = await import("../cli/receipt_key.ts");
  await checkReceiptFile(receiptFile, { overwrite: overwritesReceipt });
  const secretFile = tls?.kind === "secret" ? tls.file : undefined;
  const key = await receiptKey({ secretFile, tokenFile });
  return (result) =>
    writeReceipt(receiptFile, receiptOf(result, output?.path), key);
}

async function openOutputOf(
  { output, reliable: { digest, receiptFile } }: Reliable<Options>,
  context: RunContext,
): Promise<OutputFile | undefined> {
  if (output === undefined) return undefined;
  const { openOutput } = await import("./output_file.ts");
  // With either of them the session hashes the stream itself.
  const hashes = !digest && receiptFile === undefined;
  return await openOutput(output, { ...context, hashes });
}

/** Opens the wait that stdin, stdout and the socket share; `undefined` with TLS. */
function openPoll({ tls }: Options): SharedPoll | undefined {
  const c = tls !== undefined || usesDenoStreams() ? undefined : libc();
  return c && SharedPoll.open(c);
}

function localEndOf(
  options: Options & Pick<StdioOptions, "poll">,
  output: OutputFile | undefined,
  waited: WaitTimes,
): LocalEnd {
  if (output === undefined) return new Stdio({ ...options, waited });
  return output.receiveFor(new Stdio({ ...options, waited, sendOnly: true }));
}

async function tokenOf(
  { tokenFile }: ReliableSettings,
): Promise<Uint8Array | undefined> {
  if (tokenFile === undefined) return undefined;
  const { readToken } = await import("../reliable/token_file.ts");
  return await readToken(tokenFile);
}

function connectionOf(
  socket: Socket,
  options:
    & Pick<ConnectionOptions, "dataSize" | "keepaliveMs">
    & Pick<StdioOptions, "poll">,
  layers: Layers,
): PeerConnection {
  const traffic = new Traffic();
  const connection = new Connection(socket, {
    ...options,
    traffic,
    isSelfDelimited: true,
  });
  const { poll } = options;
  const descriptor = poll && connection.plainDescriptor();
  if (poll !== undefined && descriptor !== undefined) {
    const { fd } = descriptor;
    const polled = new PolledDescriptor(poll, Descriptor.ofSocket(poll.c, fd));
    connection.moveBy(polled);
  }
  const { peer, local } = connection;
  const listenerKey = keyHashOf(socket.listenerPin);
  // A spread leaves out the methods of a class.
  const streams = withStreams(layers.wrap(connection, peer), {});
  return { ...streams, peer, local, listenerKey, line: connection };
}

/** Reads the bytes of a pin: the SHA-256 of a key. */
function keyHashOf(pin: string | undefined): Uint8Array | undefined {
  if (pin === undefined) return undefined;
  const digits = pin.replace("sha256:", "").match(/../g) ?? [];
  return Uint8Array.from(digits, (two) => parseInt(two, 16));
}

/** Says how a sender goes on; a receiver says so of its file. */
function reportUnfinished(options: Reliable<Options>, report: Reporter): void {
  const { output, reliable: { resume, again: command } } = options;
  if (!resume || output !== undefined || !readsStdin(options)) return;
  if (report.hasTotals) report.say({ event: "unfinished", command });
}

function reportVerified(report: Reporter, session: Session): void {
  const sent = session.outgoing.summary?.digest;
  const received = session.incoming.summary?.digest;
  if (sent === undefined || received === undefined) return;
  report.say({
    event: "verified",
    sentSha256: hex(sent),
    receivedSha256: hex(received),
  });
}
