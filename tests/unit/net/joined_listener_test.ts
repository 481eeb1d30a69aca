import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import {
  type Accepting,
  JoinedListener,
  listenOnBoth,
} from "../../../lib/net/joined_listener.ts";
import { type FakeSocket, fakeSocket } from "../../helpers/fake_socket.ts";
import { dial, rawListener, receive } from "../../helpers/tcp.ts";

// What it opens stays open.
libc();

/** A connection that knows how often it was closed. */
type Conn = FakeSocket & { readonly name: string };

/** A listener whose clients come when the test says so. */
class Doorway implements Accepting<Conn> {
  readonly addr: Deno.NetAddr;
  closed = false;
  #next = Promise.withResolvers<Conn>();

  constructor(port = 1) {
    this.addr = { transport: "tcp", hostname: "::", port };
  }

  accept(): Promise<Conn> {
    return this.#next.promise;
  }

  come(name: string): Conn {
    const conn = Object.assign(fakeSocket(), { name });
    this.#next.resolve(conn);
    this.#next = Promise.withResolvers();
    return conn;
  }

  fail(): void {
    this.#next.reject(new Deno.errors.ConnectionReset("gone"));
    this.#next = Promise.withResolvers();
  }

  close(): void {
    this.closed = true;
  }
}

Deno.test("JoinedListener.accept() gives everybody once, wherever they come", async () => {
  const [first, second] = [new Doorway(), new Doorway()];
  const joined = new JoinedListener([first, second]);
  const names = [];
  for (
    const [name, at] of [["a", second], ["b", first], ["c", second]] as const
  ) {
    const accepted = joined.accept();
    at.come(name);
    names.push((await accepted).name);
  }
  const accepted = joined.accept();
  first.come("d");
  second.come("e");
  names.push((await accepted).name, (await joined.accept()).name);
  assertEquals(names, ["a", "b", "c", "d", "e"]);
});

Deno.test("JoinedListener.accept() fails as one of them fails, and goes on", async () => {
  const [first, second] = [new Doorway(), new Doorway()];
  const joined = new JoinedListener([first, second]);
  const failing = joined.accept();
  second.fail();
  await assertRejects(() => failing, Deno.errors.ConnectionReset);
  const accepted = joined.accept();
  second.come("after");
  assertEquals((await accepted).name, "after");
});

Deno.test("JoinedListener.close() closes all, and who was not taken", async () => {
  const [first, second] = [new Doorway(), new Doorway()];
  const joined = new JoinedListener([first, second]);
  const accepted = joined.accept();
  const taken = first.come("taken");
  const late = second.come("late");
  await accepted;
  joined.close();
  await Promise.resolve();
  assertEquals([first.closed, second.closed], [true, true]);
  assertEquals([taken.closed, late.closed], [0, 1]);
});

Deno.test("JoinedListener.close() resets who was not taken, who would take less for an end", async () => {
  const [first, second] = [rawListener(), rawListener()];
  const joined = new JoinedListener<Deno.TcpConn>([first, second]);
  using _one = await dial(first.port);
  using two = await dial(second.port);
  using _taken = await joined.accept();
  joined.close();
  await assertRejects(() => receive(two), Deno.errors.ConnectionReset);
});

Deno.test("listenOnBoth() takes another port when one family has it already", () => {
  const opened: [string, number, Doorway][] = [];
  const listener = listenOnBoth((hostname, port) => {
    if (hostname === "0.0.0.0" && port < 103) {
      throw new Deno.errors.AddrInUse("taken");
    }
    const doorway = new Doorway(port || 101 + opened.length);
    opened.push([hostname, port, doorway]);
    return doorway;
  }, 0);
  assertEquals(listener.addr.port, 103);
  assertEquals(opened.map(([, , { closed }]) => closed), [
    true,
    true,
    false,
    false,
  ]);
});

Deno.test("listenOnBoth() leaves nothing open when a given port is taken", () => {
  const first = new Doorway(7);
  const open = (hostname: string) => {
    if (hostname === "::") return first;
    throw new Deno.errors.AddrInUse("taken");
  };
  assertThrows(() => listenOnBoth(open, 7), Deno.errors.AddrInUse);
  assert(first.closed);
});

Deno.test("listenOnBoth() is reached by both families", async () => {
  // Linux lets one socket have both, so there the second family is another address.
  const listener = listenOnBoth(
    (hostname, port) =>
      Deno.listen({ port, hostname: hostname === "::" ? "::1" : "127.0.0.1" }),
    0,
  );
  for (const hostname of ["127.0.0.1", "::1"]) {
    using _client = await Deno.connect({ hostname, port: listener.addr.port });
    using conn = await listener.accept();
    assertEquals(conn.localAddr.port, listener.addr.port);
  }
  const pending = listener.accept();
  listener.close();
  await assertRejects(() => pending);
});
