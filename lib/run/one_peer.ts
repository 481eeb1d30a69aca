/** A run with one connection, which is joined to our own end. */

import { Connection } from "../net/connection.ts";
import { connectionTotals, localEndName } from "./connection_totals.ts";
import { joinConnection, noHalfCloseOf, type OpenLocalEnd } from "./join.ts";
import {
  type Layers,
  openLayers,
  openMeter,
  type RunContext,
} from "./context.ts";
import type { Options } from "../cli/options.ts";
import type { Socket } from "../net/socket.ts";
import type { OutputFile } from "./output_file.ts";
import type { PipeOptions } from "../pipe/pipe.ts";
import { canRelay, relayStdio } from "./relay_stdio.ts";
import { dropRightsOnceOpen } from "./rights.ts";
import { Traffic } from "../pipe/traffic.ts";

/**
 * Connects to or accepts one peer, and joins it to the local end until both have
 * ended.
 *
 * @param openPeer Connects or accepts; called once everything else is ready.
 * @throws An error of `errors.ts`. Everything opened has been closed then; a read
 * of stdin may still be pending.
 */
export async function runOnePeer(
  options: Options,
  context: RunContext,
  openPeer: () => Promise<Socket>,
): Promise<void> {
  using layers = await openLayers(options);
  if (options.output === undefined) {
    const open = await localEndOpener(options, context);
    return await joinPeer(await openPeer(), open, { options, context, layers });
  }
  const { openOutput } = await import("./output_file.ts");
  using output = await openOutput(options.output, {
    ...context,
    hashes: true,
  });
  // Nothing is written to stdout then.
  const open = await localEndOpener({ ...options, sendOnly: true }, context);
  const openWithOutput: OpenLocalEnd = async (connection, signal) =>
    output.receiveFor(await open(connection, signal));
  const parts = { options, context, layers, output };
  await joinPeer(await openPeer(), openWithOutput, parts);
  output.reportSaved();
}

async function localEndOpener(
  options: Options,
  context: RunContext,
): Promise<OpenLocalEnd> {
  if (options.end.kind === "stdio") {
    return async () => new (await import("../io/stdio.ts")).Stdio(options);
  }
  const { prepareLocalEnd } = await import("./local_end.ts");
  return await prepareLocalEnd(options, context);
}

/** Joins one peer to the local end, by the fastest way that the options allow. */
async function joinPeer(
  socket: Socket,
  open: OpenLocalEnd,
  { options, context: { signal, report }, layers, output }: {
    options: Options;
    context: RunContext;
    layers: Layers;
    output?: OutputFile;
  },
): Promise<void> {
  const traffic = new Traffic();
  const { dataSize, idleTimeoutMs, keepaliveMs, receiveOnly } = options;
  using connection = new Connection(socket, {
    dataSize,
    traffic,
    isOnly: true,
    keepaliveMs,
  });
  const { peer, local } = connection;
  report.say({ event: "connected", peer, local, probe: false });
  const localEnd = localEndName(options);
  report.setTotals(() => connectionTotals(traffic, localEnd));
  using meter = await openMeter(options, report);
  const pipeOptions: PipeOptions = {
    signal,
    traffic,
    idleTimeoutMs,
    noHalfClose: noHalfCloseOf(options),
    onHalfClose: (ended) => {
      // With --receive-only nobody waits for our side; it ends at once.
      if (ended === "peer" && receiveOnly) return;
      report.say({ event: ended === "local" ? "stdin-ended" : "peer-ended" });
    },
  };
  if (canRelay(options, connection, output)) {
    dropRightsOnceOpen(options);
    await relayStdio(connection, options, pipeOptions, output);
    return;
  }
  const openMetered: OpenLocalEnd = async (connection, signal) => {
    const local = await open(connection, signal);
    dropRightsOnceOpen(options);
    return meter?.wrap(local) ?? local;
  };
  await joinConnection(openMetered, connection, layers, pipeOptions);
}
