/** `--secret-file`: who has another secret, or none, neither gives nor gets a byte. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { derivedKeyPair } from "../../../lib/tls/derived_certificate.ts";
import { derive, newSecret } from "../../../lib/tls/secret.ts";
import { keys } from "../../helpers/certificates.ts";
import { within } from "../../helpers/deadlines.ts";
import type { Running } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, dial, rawListener, receive, send } from "../../helpers/tcp.ts";
import { hidden, Secrets } from "../../helpers/secrets.ts";

/** A client that has not the secret: it ends with `code`, and is refused for `reason`. */
interface Intruder {
  readonly what: string;
  readonly reason: string;
  start(folder: Secrets, port: number): Running | Promise<Running>;
  readonly code: number;
}

const LONG = "a line that is longer than a proof, which has 32 bytes\n";

function client(port: number, ...args: string[]): Running {
  return sockpipe([`--connect=${port}`, "--retries=0", ...args], {
    stdin: LONG,
  });
}

const INTRUDERS: readonly Intruder[] = [
  {
    what: "another secret",
    reason: "it has another secret, or none",
    start: ({ other }, port) => client(port, "--secret-file", other),
    code: 7,
  },
  {
    what: "plain text",
    reason: "it does not speak TLS, as a client with the secret does",
    start: (_folder, port) => client(port),
    code: 1,
  },
  {
    what: "TLS, and a CA that the listener's certificate is not from",
    reason: "it has another secret, or none",
    start: (_folder, port) => client(port, "--tls"),
    code: 7,
  },
];

Deno.test("a listener takes and gives no byte before the secret is proven, and goes on", async () => {
  using folder = await Secrets.make();
  const { server, at } = await listener(
    ["--secret-file", folder.key, "--keep-open", "--connections=1"],
    { stdin: "for friends\n" },
  );
  await using _server = server;
  for (const { what, reason, code, start } of INTRUDERS) {
    await using intruder = await start(folder, at.port);
    assertEquals(await intruder.code(), code, what + intruder.stderr.text());
    assert(!intruder.stdout.text().includes("friends"), what);
    await server.said(new RegExp(`refused \\S+: ${reason}\n`));
  }
  await using friend = client(at.port, "--secret-file", folder.key);
  assertEquals(await friend.code(), 0, friend.stderr.text());
  assertEquals(friend.stdout.text(), "for friends\n");
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(server.stdout.text(), LONG);
});

/** Does the handshake as a client that takes any listener's word. */
async function tlsClient(port: number, cert: string): Promise<Deno.TlsConn> {
  const conn = await Deno.startTls(await dial(port), {
    hostname: "sockpipe.invalid",
    caCerts: [cert],
  });
  await within(conn.handshake(), "the handshake");
  return conn;
}

/** Reads to the end, or to the reset, and tells which it was. */
async function endOf(conn: Deno.Conn): Promise<string> {
  const bytes = new Uint8Array(100);
  try {
    const count = await within(conn.read(bytes), "the end");
    return count === null ? "an end" : `${count} bytes`;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionReset
      ? "a reset"
      : `${error}`;
  }
}

Deno.test("a proof is all of its 32 bytes, and neither more nor less is taken for it", async () => {
  using folder = await Secrets.make();
  const { cert } = await derivedKeyPair(folder.secret);
  const proof = await derive(folder.secret, "dialler");
  const { server, at } = await listener(
    ["--secret-file", folder.key, "--keep-open"],
    { stdin: "piped" },
  );
  await using _server = server;
  await server.feed("for friends\n");
  const seed = await derive(folder.secret, "listener");
  const oneBit = proof.map((byte, at) => at === 31 ? byte ^ 1 : byte);
  for (const wrong of [oneBit, seed, proof.toReversed(), new Uint8Array(32)]) {
    using conn = await tlsClient(at.port, cert);
    await send(conn, wrong);
    await send(conn, "data").catch(() => {});
    assertEquals(await endOf(conn), "a reset");
  }
  using short = await tlsClient(at.port, cert);
  await send(short, proof.subarray(0, 31));
  await short.closeWrite();
  assertEquals(await endOf(short), "a reset");
  // In pieces it is as good as at once, and data may follow in the same record.
  using conn = await tlsClient(at.port, cert);
  await send(conn, proof.subarray(0, 7));
  await send(conn, new Uint8Array([...proof.subarray(7), 0x68, 0x69, 0x0a]));
  await server.stdout.match(/hi\n/);
  assertEquals(server.stdout.text(), "hi\n");
});

Deno.test("a mute client is cut off after 10 s, before and after its handshake", async () => {
  using folder = await Secrets.make();
  const { cert } = await derivedKeyPair(folder.secret);
  const { server, at } = await listener(["--secret-file", folder.key]);
  await using _server = server;
  using mute = await dial(at.port);
  using secured = await tlsClient(at.port, cert);
  const waiting = [endOf(mute), endOf(secured)];
  assertEquals(await Promise.all(waiting), ["a reset", "a reset"]);
  await server.stderr.nth(/the handshake took longer than 10s\n/g, 2);
});

/** A relay that shows what goes through it. */
class Relay implements AsyncDisposable {
  readonly #raw = rawListener();
  readonly port = this.#raw.port;
  /** What the connecting side has sent, of all connections. */
  sent = new Uint8Array();
  /** What the listening side has sent. */
  answered = new Uint8Array();
  readonly #work: Promise<void>;

  constructor(target: number) {
    this.#work = this.#relay(target);
  }

  async #relay(target: number): Promise<void> {
    using here = await accept(this.#raw);
    using there = await dial(target);
    await Promise.all([
      pass(here, there, (bytes) => this.sent = joined(this.sent, bytes)),
      pass(
        there,
        here,
        (bytes) => this.answered = joined(this.answered, bytes),
      ),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#work.finally(() => this.#raw.close());
  }
}

async function pass(
  from: Deno.Conn,
  to: Deno.Conn,
  show: (bytes: Uint8Array) => void,
): Promise<void> {
  const buffer = new Uint8Array(65536);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return await to.closeWrite();
    show(buffer.slice(0, count));
    await send(to, buffer.subarray(0, count));
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array([...one, ...other]);
}

Deno.test("on the line there is TLS 1.3 and nothing in clear; played again, it is refused", async () => {
  using folder = await Secrets.make();
  const { server, at } = await listener(
    ["--secret-file", folder.key, "--keep-open"],
    { stdin: "from the listener\n" },
  );
  await using _server = server;
  await using relay = new Relay(at.port);
  await using friend = client(relay.port, "--secret-file", folder.key);
  assertEquals(await friend.code(), 0, friend.stderr.text());
  assertEquals(friend.stdout.text(), "from the listener\n");
  await server.stdout.match(/\n/);
  const line = new TextDecoder("latin1").decode(
    joined(relay.sent, relay.answered),
  );
  const proof = await derive(folder.secret, "dialler");
  for (const clear of ["a line", "the listener", ...hidden(proof)]) {
    assert(!line.includes(clear), clear);
  }
  // ServerHello, supported_versions: 0x002b, 2 bytes, 0x0304 (RFC 8446 4.2.1).
  const hello = [...relay.answered.subarray(0, 200)].join();
  assertStringIncludes(hello, "0,43,0,2,3,4");
  using replay = await dial(at.port);
  await send(replay, relay.sent).catch(() => {});
  await server.said(/refused \S+: the handshake failed: cannot decrypt/);
  await receive(replay).catch(() => {});
  assertEquals(server.stdout.text(), LONG);
});

Deno.test("a dialler sends nothing to an impostor, and does not try again", async () => {
  using folder = await Secrets.make();
  using others = await keys(["own"]);
  const own = await Deno.readTextFile(`${others.path}/own.crt`);
  const key = await Deno.readTextFile(`${others.path}/own.key`);
  const other = await derivedKeyPair(newSecret());
  for (const pair of [{ cert: own, key }, other]) {
    using impostor = Deno.listenTls({
      hostname: "127.0.0.1",
      port: 0,
      ...pair,
    });
    assert(impostor.addr.transport === "tcp");
    const { port } = impostor.addr;
    await using dialler = client(port, "--secret-file", folder.key);
    using conn = await within(impostor.accept(), "the dialler");
    const text = await conn.read(new Uint8Array(1)).catch(String);
    assertStringIncludes(`${text}`, "alert");
    assertEquals(await dialler.code(), 7, dialler.stderr.text());
    assertStringIncludes(
      dialler.stderr.text(),
      "it has another secret than that of --secret-file, or none; nothing was sent\n",
    );
  }
});

Deno.test("a dialler tells a listener that does not speak TLS, and gives up a mute one", async () => {
  using folder = await Secrets.make();
  await using plain = sockpipe(["--listen=0"], { stdin: "hello" });
  const { port } = await plain.listening();
  await using dialler = client(port, "--secret-file", folder.key);
  assertEquals(await dialler.code(), 7, dialler.stderr.text());
  assertStringIncludes(dialler.stderr.text(), "does not speak TLS; start it");
  using raw = rawListener();
  const mute = accept(raw);
  const secret = ["--secret-file", folder.key, "--connect-timeout=200ms"];
  await using waiting = client(raw.port, ...secret);
  using conn = await mute;
  const hello = await receive(conn, 5);
  // A TLS record with a handshake message (RFC 8446 section 5.1), and no more.
  assertEquals(hello.slice(0, 3), Uint8Array.of(22, 3, 1));
  const [high = 0, low = 0] = hello.slice(3);
  await receive(conn, high * 256 + low);
  assertEquals(await endOf(conn), "a reset");
  assertEquals(await waiting.code(), 5, waiting.stderr.text());
});
