import { assert, assertEquals, assertRejects } from "@std/assert";
import { type LibC, POLLIN } from "../../../lib/base/libc.ts";
import { Descriptor } from "../../../lib/io/descriptor.ts";
import { PolledDescriptor } from "../../../lib/io/polled_descriptor.ts";
import { SharedPoll } from "../../../lib/io/shared_poll.ts";
import { findSockets } from "../../../lib/net/socket_descriptors.ts";
import { until, within } from "../../helpers/deadlines.ts";
import { c, Pipe } from "../../helpers/descriptors.ts";
import { tcpPair } from "../../helpers/tcp.ts";

const BYTE = new Uint8Array(1);

function open(library = c()): SharedPoll {
  const poll = SharedPoll.open(library);
  if (poll === undefined) throw new Error("There is no shared poll");
  return poll;
}

/** A wait, and whether it is over. */
function waitFor(poll: SharedPoll, fd: number) {
  const wait = { isOver: false, done: Promise.resolve() };
  wait.done = poll.ready(fd, POLLIN).then(() => {
    wait.isOver = true;
  });
  return wait;
}

function linuxTest(name: string, fn: () => Promise<void>): void {
  const ignore = Deno.build.os !== "linux";
  Deno.test({ name: `SharedPoll: ${name}`, ignore, fn });
}

linuxTest("only who waits for what has happened goes on", async () => {
  using pipe = new Pipe();
  using other = new Pipe();
  await using poll = open();
  const wait = waitFor(poll, pipe.reader);
  const silent = waitFor(poll, other.reader);
  pipe.write(BYTE);
  await within(wait.done, "the wait");
  assert(!silent.isOver);
  poll.release(other.reader);
  await within(silent.done, "the end of the other wait");
});

linuxTest("who joins while another thread waits is served, too", async () => {
  using pipe = new Pipe();
  using other = new Pipe();
  let isElsewhere = false;
  const pollAsync: LibC["pollAsync"] = (bytes, count, limitMs) => {
    isElsewhere ||= limitMs === -1;
    return c().pollAsync(bytes, count, limitMs);
  };
  await using poll = open({ ...c(), pollAsync });
  const first = waitFor(poll, pipe.reader);
  await until(() => isElsewhere || undefined, "the wait of another thread");
  const second = waitFor(poll, other.reader);
  other.write(BYTE);
  await within(second.done, "the wait of who joined");
  assert(!first.isOver);
  await poll[Symbol.asyncDispose]();
  await within(first.done, "the end of all waits");
  await within(poll.ready(pipe.reader, POLLIN), "a wait after the end");
});

linuxTest("a socket is read and written by its descriptor", async () => {
  const [peer, conn] = await tcpPair();
  using _peer = peer;
  using _conn = conn;
  await using poll = open();
  const descriptor = findSockets([conn]).get(conn);
  const socket = new PolledDescriptor(
    poll,
    Descriptor.ofSocket(poll.c, descriptor?.fd ?? -1),
  );
  const room = new Uint8Array(8);
  const reading = socket.read(room);
  await peer.write(new TextEncoder().encode("ping"));
  assertEquals(await within(reading, "ping"), 4);
  // More than both buffers hold: the rest waits for the peer.
  const bytes = new Uint8Array(64 * 1024 * 1024);
  let sent = 0;
  const sending = (async () => {
    while (sent < bytes.length) {
      sent += await socket.write(bytes.subarray(sent));
    }
  })();
  let received = 0;
  while (received < bytes.length) {
    received += await peer.read(new Uint8Array(1024 * 1024)) ?? 0;
  }
  await within(sending, "the rest");
  peer.closeWrite();
  assertEquals(await within(socket.read(room), "the end"), null);
  descriptor?.forget();
});

linuxTest("a read that waits ends when the socket is released", async () => {
  await using poll = open();
  const [peer, conn] = await tcpPair();
  using _peer = peer;
  using _conn = conn;
  const descriptor = findSockets([conn]).get(conn);
  const socket = new PolledDescriptor(
    poll,
    Descriptor.ofSocket(poll.c, descriptor?.fd ?? -1),
  );
  const reading = assertRejects(
    () => socket.read(new Uint8Array(8)),
    Deno.errors.Interrupted,
  );
  socket.release();
  socket.release();
  await within(reading, "the end of the read");
  await assertRejects(() => socket.write(BYTE), Deno.errors.Interrupted);
  descriptor?.forget();
});
