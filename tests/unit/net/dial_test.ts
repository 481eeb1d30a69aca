/** One attempt to connect: the addresses of a name against each other. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import { dialFirst, dialReason, isTemporary } from "../../../lib/net/dial.ts";
import type { Dial, Socket } from "../../../lib/net/socket.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";

// What it opens stays open.
libc();

const { signal } = new AbortController();

/** Attempts that a test lets succeed or fail, in the order in which they began. */
class Attempts {
  readonly begun: { hostname: string; signal: AbortSignal }[] = [];
  readonly #results: PromiseWithResolvers<Socket>[] = [];
  #waiting = Promise.withResolvers<void>();

  readonly dial: Dial = ({ hostname, signal }) => {
    const result = Promise.withResolvers<Socket>();
    this.begun.push({ hostname, signal });
    this.#results.push(result);
    this.#waiting.resolve();
    return result.promise;
  };

  /** Waits until so many have begun. */
  async number(count: number): Promise<void> {
    while (this.begun.length < count) {
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
  }

  succeed(index: number, socket = fakeSocket()): typeof socket {
    this.#results[index]?.resolve(socket);
    return socket;
  }

  fail(index: number, code: string): void {
    this.#results[index]?.reject(Object.assign(new Error(code), { code }));
  }
}

function start(
  hostnames: readonly string[],
  outer: AbortSignal = signal,
): { attempts: Attempts; first: Promise<Socket> } {
  const attempts = new Attempts();
  const { dial } = attempts;
  const first = dialFirst(hostnames, { port: 9, signal: outer, dial });
  first.catch(() => {});
  return { attempts, first };
}

Deno.test("dialFirst() tries the next address at once when one fails", async () => {
  const { attempts, first } = start(["::1", "127.0.0.1"]);
  await attempts.number(1);
  const startedAt = performance.now();
  attempts.fail(0, "ECONNREFUSED");
  await attempts.number(2);
  assert(performance.now() - startedAt < 200, "it waited");
  const socket = attempts.succeed(1);
  assertEquals(await first, socket);
  assertEquals(attempts.begun[1]?.hostname, "127.0.0.1");
});

Deno.test("dialFirst() tries the next address beside one that takes long; the first wins and ends the other", async () => {
  const { attempts, first } = start(["::1", "127.0.0.1"]);
  await attempts.number(2);
  const socket = attempts.succeed(1);
  assertEquals(await first, socket);
  assert(attempts.begun[0]?.signal.aborted);
  const late = attempts.succeed(0);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals([socket.closed, late.closed], [0, 1]);
});

Deno.test("dialFirst() closes the second of two that connect at the same moment", async () => {
  const { attempts, first } = start(["::1", "127.0.0.1"]);
  await attempts.number(2);
  const sockets = [attempts.succeed(0), attempts.succeed(1)];
  const won = await first;
  await new Promise((resolve) => setTimeout(resolve));
  for (const socket of sockets) {
    assertEquals(socket.closed, socket === won ? 0 : 1);
  }
});

Deno.test("dialFirst() fails with what may pass, if any did so, else with the last", async () => {
  const cases: [string[], string][] = [
    [["ECONNREFUSED", "EACCES"], "ECONNREFUSED"],
    [["EPERM", "EACCES"], "EACCES"],
    [["EACCES", "ENETUNREACH"], "ENETUNREACH"],
  ];
  for (const [codes, expected] of cases) {
    const { attempts, first } = start(["::1", "127.0.0.1"]);
    for (const [index, code] of codes.entries()) {
      await attempts.number(index + 1);
      attempts.fail(index, code);
    }
    await assertRejects(() => first, Error, expected);
  }
});

Deno.test("dialFirst() ends with the signal's reason, and closes what comes late", async () => {
  const reason = new Error("no more");
  for (const hostnames of [["::1"], ["::1", "127.0.0.1"]]) {
    const controller = new AbortController();
    const { attempts, first } = start(hostnames, controller.signal);
    await attempts.number(1);
    controller.abort(reason);
    assertEquals(await first.catch((error) => error), reason);
    const late = attempts.succeed(0);
    await new Promise((resolve) => setTimeout(resolve));
    assertEquals(late.closed, 1);
  }
});

Deno.test("a connection that is reset before it is looked at is worth another attempt", () => {
  const error = Object.assign(new Error("not connected"), { code: "ENOTCONN" });
  assert(isTemporary(error));
  assertEquals(dialReason(error), "connection reset by peer");
});
