/** connect(): retry, limits and reasons, on sockets that are only said to be. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../lib/base/libc.ts";
import { connect } from "../../client.ts";
import type { RetryOptions } from "../../lib/cli/options.ts";
import { ConnectError, TimeLimitError } from "../../lib/base/errors.ts";
import type { Dial, Socket } from "../../lib/net/socket.ts";
import { fakeSocket } from "../helpers/fake_socket.ts";
import { Reporter } from "../../lib/report/reporter.ts";

// What it opens stays open.
libc();

const ADDRESS = { transport: "tcp", hostname: "127.0.0.1", port: 9 } as const;
const RETRY: RetryOptions = {
  delayMs: 1,
  maxDelayMs: 1,
  retries: undefined,
  timeoutMs: undefined,
  connectTimeoutMs: 60_000,
};

/** Connects by `dial`, and tells what was said meanwhile. */
function start(
  dial: Dial,
  retry: Partial<RetryOptions> = {},
  signal: AbortSignal = new AbortController().signal,
): { socket: Promise<Socket>; said: string[] } {
  const said: string[] = [];
  const report = new Reporter("verbose", (line) => said.push(line.trimEnd()));
  const context = { signal, report, dial };
  return { socket: connect(ADDRESS, { ...RETRY, ...retry }, context), said };
}

/** What Linux says, of what is looked for here. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Connection refused (os error 111)",
};

function systemError(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

/** Fails in turn as each of these says, then connects. */
function failing(...codes: string[]): Dial & { calls: number } {
  const dial = () => {
    const code = codes[dial.calls++];
    return code === undefined
      ? Promise.resolve(fakeSocket())
      : Promise.reject(systemError(code, REASONS[code]));
  };
  dial.calls = 0;
  return dial;
}

Deno.test("connect() tries again after what may pass, with a new socket each time", async () => {
  const dial = failing("ECONNREFUSED", "ETIMEDOUT", "ENOENT");
  const { socket, said } = start(dial);
  await socket;
  assertEquals(dial.calls, 4);
  assertEquals(said[0], "sockpipe: connecting to 127.0.0.1:9");
  assertEquals(
    said[1],
    "sockpipe: cannot connect to 127.0.0.1:9: connection refused; next attempt in 1ms",
  );
  assertEquals(said.at(-1), "sockpipe: connecting to 127.0.0.1:9, attempt 4");
});

Deno.test("connect() gives up at once what will not pass", async () => {
  for (const code of ["ENOTFOUND", "EACCES", "EPERM"]) {
    const dial = failing(code);
    const { socket } = start(dial);
    await assertRejects(() => socket, ConnectError, "Cannot connect to");
    assertEquals(dial.calls, 1);
  }
});

Deno.test("connect() makes one attempt more than --retries", async () => {
  const dial = failing(..."xxxxx".split("").map(() => "ECONNREFUSED"));
  const { socket } = start(dial, { retries: 2 });
  await assertRejects(() => socket, ConnectError, "(3 attempts)");
  assertEquals(dial.calls, 3);
});

Deno.test("connect() takes a connection to itself for nobody, and tries again", async () => {
  const itself = fakeSocket({ local: 9, remote: 9 });
  const sockets = [itself, fakeSocket()];
  const { socket } = start(() => Promise.resolve(sockets.shift() ?? itself));
  assert(await socket !== itself);
  assertEquals(itself.closed, 1);
});

Deno.test("connect() ends with --connect-timeout when no attempt is left, and closes what comes late", async () => {
  const late = Promise.withResolvers<Socket>();
  const dial = () => late.promise;
  const { socket } = start(dial, { retries: 0, connectTimeoutMs: 5 });
  await assertRejects(() => socket, TimeLimitError, "(--connect-timeout)");
  const comes = fakeSocket();
  late.resolve(comes);
  await late.promise;
  await Promise.resolve();
  assertEquals(comes.closed, 1);
});

Deno.test("connect() ends with --retry-timeout, in an attempt and in a pause", async () => {
  const hangs: Dial = () => new Promise(() => {});
  const inAttempt = start(hangs, { timeoutMs: 5 }).socket;
  await assertRejects(() => inAttempt, TimeLimitError, "(--retry-timeout)");
  const dial = failing("ECONNREFUSED");
  const limits = { timeoutMs: 20, delayMs: 60_000, maxDelayMs: 60_000 };
  const inPause = start(dial, limits).socket;
  const error = await assertRejects(() => inPause, TimeLimitError);
  assert(error.message.endsWith("connection refused"), error.message);
  assertEquals(dial.calls, 1);
});

Deno.test("connect() ends with the signal's reason, in an attempt and in a pause", async () => {
  const reason = new Error("no more");
  for (const dial of [() => new Promise<Socket>(() => {}), failing("EAGAIN")]) {
    const controller = new AbortController();
    const limits = { delayMs: 60_000, maxDelayMs: 60_000 };
    const { socket } = start(dial, limits, controller.signal);
    await new Promise((resolve) => setTimeout(resolve));
    controller.abort(reason);
    assertEquals(await socket.catch((error) => error), reason);
  }
});
