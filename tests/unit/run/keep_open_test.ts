/** KeepOpenServer: clients that come and go, with a listener and ends in memory. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  BrokenError,
  ListenError,
  LocalIoError,
  SignalError,
  TimeLimitError,
} from "../../../lib/base/errors.ts";
import { parseCommandLine } from "../../../lib/cli/parse.ts";
import type { Listener } from "../../../lib/net/listener.ts";
import type { Socket } from "../../../lib/net/socket.ts";
import { Reporter } from "../../../lib/report/reporter.ts";
import { KeepOpenServer } from "../../../lib/run/keep_open.ts";
import { until, within } from "../../helpers/deadlines.ts";
import { MemoryEnd } from "../../helpers/memory_end.ts";
import { MemorySocket } from "../../helpers/memory_socket.ts";

/** A listener to which clients come when the test says so. */
class MemoryListener implements Listener {
  readonly address = "here";
  readonly exposed = false;
  isClosed = false;
  readonly #coming: (Socket | Error)[] = [];
  #changed = Promise.withResolvers<void>();

  come(next: Socket | Error): void {
    this.#coming.push(next);
    this.#changed.resolve();
  }

  async accept(): Promise<Socket> {
    for (;;) {
      const next = this.#coming.shift();
      if (next instanceof Error) throw next;
      if (next !== undefined) return next;
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
  }

  close(): void {
    this.isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A run of the server, all of whose surroundings are the test's. */
class Run {
  readonly listener = new MemoryListener();
  /** stdin and stdout. */
  readonly stdio = new MemoryEnd();
  readonly said: string[] = [];
  readonly ended: Promise<void>;
  readonly #stop = new AbortController();
  #clients = 0;

  /** @param words Options beside `--listen` and `--keep-open`. */
  constructor(words: string, { sends = true }: { sends?: boolean } = {}) {
    const argv = `--listen=unix:/here --keep-open ${words}`.trim().split(" ");
    const command = parseCommandLine(argv);
    assert(command.kind === "run" && command.options.mode === "listen");
    const { options } = command;
    assert(options.keepOpen);
    this.stdio.sends = sends;
    const report = new Reporter("verbose", (line) => this.said.push(line));
    const server = new KeepOpenServer(options, options.keepOpen, this.stdio, {
      signal: this.#stop.signal,
      report,
      prepareDial: () => Promise.reject(new Error("It goes nowhere")),
      layers: { wrap: (remote) => remote, [Symbol.dispose]: () => {} },
    });
    const run = server.run(() => Promise.resolve(this.listener));
    this.ended = within(run, "the end of the run");
    this.ended.catch(() => {});
  }

  /** Has a client come, and waits until it is there. */
  async client(): Promise<MemorySocket> {
    const socket = this.come();
    await this.says(`connected to ${socket.peerName}`);
    return socket;
  }

  /** Has a client come. */
  come(): MemorySocket {
    const socket = new MemorySocket(`client-${++this.#clients}`);
    this.listener.come(socket);
    return socket;
  }

  /** Waits until this has been said. */
  async says(text: string): Promise<void> {
    await until(
      () => this.said.some((line) => line.includes(text)) || undefined,
      () => `"${text}" in ${JSON.stringify(this.said)}`,
    );
  }

  /** What came out on stdout, with its end. */
  get out(): string {
    return this.stdio.seen.join("");
  }

  stop(): void {
    this.#stop.abort(new SignalError("SIGTERM"));
  }
}

/** Waits until an end has seen this much. */
async function sees(end: MemoryEnd, text: string): Promise<void> {
  await until(
    () => end.seen.join("") === text || undefined,
    () => `${text}, saw ${end.seen.join("")}`,
  );
}

Deno.test("clients come and go, all send to stdout, and --connections ends the run with its end", async () => {
  const run = new Run("--connections=3", { sends: false });
  const [first, second] = [await run.client(), await run.client()];
  first.peer.say("1a ");
  await sees(run.stdio, "1a ");
  second.peer.say("2a ");
  await sees(run.stdio, "1a 2a ");
  first.peer.finish();
  await run.says("client-1 has ended");
  assert(first.isClosed && !second.isClosed && !run.listener.isClosed);
  const third = await run.client();
  third.peer.say("3a");
  await sees(run.stdio, "1a 2a 3a");
  assert(run.listener.isClosed);
  for (const client of [second, third]) client.peer.finish();
  await run.ended;
  assertEquals(run.out, "1a 2a 3aend");
});

Deno.test("stdin goes to all who are there, and is not read while nobody is", async () => {
  const run = new Run("--connections=3");
  run.stdio.say("first ");
  await delay(0);
  const first = await run.client();
  await sees(first.peer, "first ");
  const second = await run.client();
  run.stdio.say("for both");
  run.stdio.finish();
  await sees(first.peer, "first for bothend");
  await sees(second.peer, "for bothend");
  const late = await run.client();
  await sees(late.peer, "end");
  for (const client of [first, second, late]) client.peer.finish();
  await run.ended;
});

Deno.test("a client that fails ends neither the listener nor another client", async () => {
  const run = new Run("--connections=3", { sends: false });
  const [bad, good] = [await run.client(), await run.client()];
  bad.peer.break();
  await run.says("client-1: cannot receive");
  good.peer.say("good");
  good.peer.finish();
  const next = await run.client();
  next.peer.finish();
  const error = await assertRejects(() => run.ended, BrokenError);
  assertMatch(error.message, /1 of 3 connections failed/);
  assertEquals(run.out, "goodend");
});

Deno.test("--max-connections lets the next one wait until one has left, and says so", async () => {
  const run = new Run("--max-connections=2 --connections=3", { sends: false });
  const [first, second] = [await run.client(), await run.client()];
  await run.says("2 connections at once (--max-connections)");
  const third = run.come();
  third.peer.say("third");
  second.peer.say("second ");
  await sees(run.stdio, "second ");
  first.peer.finish();
  await sees(run.stdio, "second third");
  for (const client of [second, third]) client.peer.finish();
  await run.ended;
});

Deno.test("--slow-client wait: one that takes nothing is waited for, and nobody loses a byte", async () => {
  const run = new Run("--slow-client=wait --queue=4 --connections=2");
  const slow = new MemorySocket("slow");
  const goOn = slow.stall();
  run.listener.come(slow);
  await run.says("connected to slow");
  const quick = await run.client();
  for (const word of ["1111", "2222", "3333", "4444"]) run.stdio.say(word);
  run.stdio.finish();
  // One is on its way to the slow one, one waits for room, and none is read more.
  await sees(quick.peer, "11112222");
  goOn();
  for (const { peer } of [slow, quick]) {
    await sees(peer, "1111222233334444end");
    peer.finish();
  }
  await run.ended;
});

Deno.test("--lines: no line is torn by another client's, and each has its end", async () => {
  const run = new Run("--lines --connections=2", { sends: false });
  const [first, second] = [await run.client(), await run.client()];
  first.peer.say("a whole line\nthe first half, ");
  await sees(run.stdio, "a whole line\n");
  second.peer.say("in between\nunfinished");
  await sees(run.stdio, "a whole line\nin between\n");
  first.peer.say("the second half\n");
  second.peer.finish();
  first.peer.finish();
  await run.ended;
  const lines = run.out.replace(/end$/, "").trimEnd().split("\n");
  assertEquals(lines.toSorted(), [
    "a whole line",
    "in between",
    "the first half, the second half",
    "unfinished",
  ]);
});

Deno.test("--broker: what one sends goes to the others, and neither back nor to stdout", async () => {
  const run = new Run("--broker --connections=3");
  const clients = [await run.client(), await run.client(), await run.client()];
  const [a, b, c] = clients.map(({ peer }) => peer);
  assert(a && b && c);
  a.say("from a ");
  await sees(b, "from a ");
  b.say("from b");
  await sees(a, "from b");
  await sees(c, "from a from b");
  for (const peer of [a, b, c]) peer.finish();
  await run.ended;
  assertEquals(run.stdio.seen.filter((what) => what !== "end"), []);
});

Deno.test("a signal stops accepting and reading stdin, and who finishes in time may", async () => {
  const run = new Run("--grace=1h");
  const client = await run.client();
  client.peer.say("begun, ");
  await sees(run.stdio, "begun, ");
  run.stop();
  await run.says("stopping: 1 connection may finish within 1h");
  await until(() => run.listener.isClosed || undefined, "a closed listener");
  run.stdio.say("too late");
  await sees(client.peer, "end");
  client.peer.say("finished");
  client.peer.finish();
  await assertRejects(() => run.ended, SignalError);
  assertEquals(run.out, "begun, finishedend");
});

Deno.test("a client that does not finish within --grace is cut off", async () => {
  const run = new Run("--grace=20ms", { sends: false });
  const client = await run.client();
  run.stop();
  await assertRejects(() => run.ended, SignalError);
  assert(client.isClosed);
  await run.says("1 connection had not finished");
});

Deno.test("--accept-timeout and --exit-when-idle count while nobody is there", async () => {
  for (const option of ["--accept-timeout", "--exit-when-idle"]) {
    const run = new Run(`${option}=50ms`, { sends: false });
    const client = await run.client();
    await delay(120);
    client.peer.say("still here");
    await sees(run.stdio, "still here");
    client.peer.finish();
    if (option === "--exit-when-idle") await run.ended;
    else await assertRejects(() => run.ended, TimeLimitError, "Nobody came");
    assert(run.listener.isClosed);
  }
});

Deno.test("--idle-timeout ends a mute client, and no other", async () => {
  const run = new Run("--idle-timeout=200ms", { sends: false });
  const mute = await run.client();
  const lively = await run.client();
  const talk = setInterval(() => lively.peer.say("."), 20);
  await run.says("client-1: ");
  clearInterval(talk);
  assert(mute.isClosed && !lively.isClosed);
  lively.peer.finish();
  run.stop();
  await assertRejects(() => run.ended, SignalError);
});

Deno.test("a listener that fails ends all, with its error", async () => {
  const run = new Run("", { sends: false });
  const client = await run.client();
  run.listener.come(new ListenError("Cannot accept: it is broken"));
  await assertRejects(() => run.ended, ListenError, "it is broken");
  assert(client.isClosed);
});

Deno.test("a stdout that fails ends all, with its error", async () => {
  const run = new Run("", { sends: false });
  const [first, second] = [await run.client(), await run.client()];
  run.stdio.refuse(new LocalIoError("Cannot write to stdout: disk full"));
  first.peer.say("too much");
  await assertRejects(() => run.ended, LocalIoError, "disk full");
  assert(first.isClosed && second.isClosed);
});

Deno.test("what was read from stdin when the last client left goes to the next, or is told", async () => {
  for (const comes of [true, false]) {
    const run = new Run("--connections=2");
    const first = await run.client();
    first.peer.break();
    await run.says("client-1: cannot receive");
    run.stdio.say("not lost");
    if (comes) {
      const next = await run.client();
      await sees(next.peer, "not lost");
      run.stdio.finish();
      next.peer.finish();
      await assertRejects(() => run.ended, BrokenError, "1 of 2");
    } else {
      run.stop();
      await assertRejects(() => run.ended, SignalError);
    }
  }
});
