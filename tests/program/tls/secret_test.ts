/**
 * `--secret-file`: who has the secret gets in and everything through, and nobody
 * else gives or gets a byte.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sourceCommand } from "../../../scripts/program.ts";
import { derivedKeyPair } from "../../../lib/tls/derived_certificate.ts";
import { derive, formatSecret, newSecret } from "../../../lib/tls/secret.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { certificates, keyOptions, keys } from "../../helpers/certificates.ts";
import { say, testWith } from "../../helpers/conditions.ts";
import { within } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { FailingLine } from "../../helpers/proxy.ts";
import {
  accept,
  closedPort,
  dial,
  rawListener,
  receive,
  send,
} from "../../helpers/tcp.ts";

/** A folder with the files `key` and `other`, which hold two secrets. */
class Secrets extends Folder {
  readonly secret = newSecret();
  readonly key = `${this.path}/key`;
  readonly other = `${this.path}/other`;

  static async make(): Promise<Secrets> {
    const folder = new Secrets();
    await folder.write("key", `${await formatSecret(folder.secret)}\n`);
    await folder.write("other", `${await formatSecret(newSecret())}\n`);
    return folder;
  }

  /** Writes a file that only its owner can read, and tells its path. */
  async write(name: string, text: string | Uint8Array): Promise<string> {
    const path = `${this.path}/${name}`;
    const bytes = typeof text === "string"
      ? new TextEncoder().encode(text)
      : text;
    await Deno.writeFile(path, bytes, { mode: 0o600 });
    return path;
  }
}

/** Starts the program from its source, whatever is under test. */
async function fromSource(
  args: readonly string[],
  stdin: Uint8Array,
): Promise<Running> {
  return new Running([...await sourceCommand(), ...args], { stdin });
}

if (!Deno.env.has("SOCKPIPE_BIN")) {
  say("with SOCKPIPE_BIN, secret_test.ts has source and binary meet");
}

for (const source of ["connects", "listens"]) {
  Deno.test(`both sides have the secret and get everything; the one from source ${source}`, async () => {
    using folder = await Secrets.make();
    const [ours, theirs] = [randomBytes(3_000_000), randomBytes(2_000_000, 2)];
    const secret = ["--secret-file", folder.key];
    const listen = ["--listen", "0", ...secret];
    await using server = source === "listens"
      ? await fromSource(listen, theirs)
      : sockpipe(listen, { stdin: theirs });
    const { address } = await server.listening();
    const connect = ["--connect", address, ...secret];
    await using client = source === "connects"
      ? await fromSource(connect, ours)
      : sockpipe(connect, { stdin: ours });
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(await sha256(server.stdout.bytes()), await sha256(ours));
    assertEquals(await sha256(client.stdout.bytes()), await sha256(theirs));
  });
}

/** A client that has not the secret: it ends with `code`, and is refused for `reason`. */
interface Stranger {
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

const STRANGERS: readonly Stranger[] = [
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
  for (const { what, reason, code, start } of STRANGERS) {
    await using stranger = await start(folder, at.port);
    assertEquals(await stranger.code(), code, what + stranger.stderr.text());
    assert(!stranger.stdout.text().includes("friends"), what);
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
  const ends = [endOf(mute), endOf(secured)];
  assertEquals(await Promise.all(ends), ["a reset", "a reset"]);
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

/** A value as it might be found in a text. */
function hidden(bytes: Uint8Array): string[] {
  return [
    String.fromCharCode(...bytes),
    [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
  ];
}

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

Deno.test("a secret is refused that others can read, or that is none", async () => {
  using folder = await Secrets.make();
  const text = await Deno.readTextFile(folder.key);
  const wrong = text.replace(/.$/m, (last) => last === "a" ? "b" : "a");
  const utf16 = [...`\ufeff${text}`].flatMap((c) => [c.charCodeAt(0) & 255, 0]);
  const cases: [file: string, reason: string][] = [
    [`${folder.path}/none`, "no such file"],
    [folder.path, "directory"],
    [await folder.write("empty", ""), "it is not a secret"],
    [await folder.write("words", "correct horse battery"), "could be guessed"],
    [await folder.write("cut", text.slice(0, 40)), "it is damaged"],
    [await folder.write("typo", wrong), "there is a typo in it"],
    [await folder.write("utf16", Uint8Array.from(utf16)), "not a secret"],
    [await folder.write("long", "a".repeat(100_000)), "not a secret"],
    [await folder.write("more", `${text}${" ".repeat(1000)}x`), "more than a"],
  ];
  if (Deno.build.os !== "windows") {
    const readable = await folder.write("readable", text);
    await Deno.chmod(readable, 0o640);
    cases.push([readable, 'can read or change it; do "chmod 600 FILE"']);
  }
  for (const [file, reason] of cases) {
    for (const args of [["--listen=0"], ["--connect=1", "--retries=0"]]) {
      await using tried = sockpipe([...args, "--secret-file", file]);
      assertEquals(await tried.code(), 8, tried.stderr.text());
      assertStringIncludes(tried.stderr.text(), reason);
      assertStringIncludes(tried.stderr.text(), `"${file}"`);
    }
  }
});

Deno.test("a secret may be copied with or without its line end, CRLF or a byte order mark", async () => {
  using folder = await Secrets.make();
  const text = await Deno.readTextFile(folder.key);
  const bare = text.trim();
  const copies = [text, bare, `${bare}\r\n`, `\ufeff${text}`, `\n ${bare} \n`];
  for (const [index, copy] of copies.entries()) {
    const file = await folder.write(`copy${index}`, copy);
    const secret = `--secret-file=${file}`;
    await using tried = sockpipe(["--connect=1", "--retries=0", secret]);
    assertEquals(await tried.code(), 3, tried.stderr.text());
  }
});

Deno.test("--new-secret makes a file for its owner alone, and never over another", async () => {
  using folder = new Folder();
  const path = `${folder.path}/key`;
  await using made = sockpipe(["--new-secret", path]);
  assertEquals(await made.code(), 0, made.stderr.text());
  const text = await Deno.readTextFile(path);
  assert(/^sockpipe1(-[a-z2-7]{7}){8}\n$/.test(text), text);
  assert(!made.stderr.text().includes(text.slice(10, 17)));
  assertEquals(made.stdout.text(), "");
  if (Deno.build.os !== "windows") {
    const { mode } = await Deno.stat(path);
    assertEquals((mode ?? 0) & 0o777, 0o600);
  }
  await using again = sockpipe(["--new-secret", path]);
  assertEquals(await again.code(), 8);
  assertStringIncludes(again.stderr.text(), "a file of that name is there");
  assertEquals(await Deno.readTextFile(path), text);
  await using more = sockpipe(["--new-secret", `${path}2`, "--listen=1"]);
  assertEquals(await more.code(), 2);
  assertEquals(folder.names(), ["key"]);
});

Deno.test("the secret does not go with what it stands for, nor where it is not needed", async () => {
  const listen = ["--listen=0", "--secret-file=F"];
  const connect = ["--connect=1", "--secret-file=F"];
  const cases: [args: string[], sentence: string][] = [
    [[...listen, "--tls"], "drop --tls"],
    [[...listen, "--tls-self-signed"], "drop --tls-self-signed"],
    [[...connect, "--tls-pin=x"], "drop --tls-pin"],
    [[...connect, "--tls-ca=x"], "drop --tls-ca"],
    [[...connect, "--reliable", "--token-file=x"], "drop --token-file"],
    [["--listen=unix:/x", "--secret-file=F"], "folder's permissions"],
    [["--connect=unix:/x", "--secret-file=F"], "folder's permissions"],
    [[...listen, "--forward-secret-file=F"], "belongs to --forward"],
    [[...listen, "--forward-tls"], "belongs to --forward"],
    [[...listen, "--forward=unix:/x", "--forward-tls"], "go over TCP"],
    [
      [...listen, "--forward=1", "--forward-tls", "--forward-secret-file=F"],
      "either encrypts the way on",
    ],
  ];
  for (const [args, sentence] of cases) {
    await using tried = sockpipe(args);
    assertEquals(await tried.code(), 2, args.join(" "));
    assertStringIncludes(tried.stderr.text(), sentence);
  }
});

Deno.test("no secret is told by -v, --json, --dump, the command line or the environment", async () => {
  using folder = await Secrets.make();
  const text = (await Deno.readTextFile(folder.key)).trim();
  const dump = `${folder.path}/dump`;
  const secret = ["--secret-file", folder.key, "--dump", dump];
  const { server, at } = await listener([...secret, "-v"]);
  await using _server = server;
  const args = [`--connect=${at.port}`, "--json", "--secret-file", folder.key];
  await using friend = sockpipe(args, { stdin: "piped" });
  await friend.feed("password\n");
  await server.stdout.match(/password/);
  const seen = ["cmdline", "environ"].map((name) =>
    Deno.build.os === "linux"
      ? Deno.readTextFileSync(`/proc/${friend.pid}/${name}`)
      : ""
  );
  await friend.endStdin();
  assertEquals(await friend.code(), 0, friend.stderr.text());
  assertEquals(await server.code(), 0, server.stderr.text());
  const record = await Deno.readTextFile(dump);
  // What is recorded is what was sent, in clear.
  assertStringIncludes(record, "password");
  const told = [friend.stderr.text(), server.stderr.text(), record, ...seen]
    .join("\n");
  const values = [
    folder.secret,
    await derive(folder.secret, "dialler"),
    await derive(folder.secret, "listener"),
  ];
  for (const value of [...values.flatMap(hidden), text, text.slice(10, 25)]) {
    assert(!told.includes(value));
  }
});

Deno.test("--reliable proves the secret on every connection, over cuts", async () => {
  using folder = await Secrets.make();
  const data = randomBytes(2_000_000, 6);
  const secret = ["--secret-file", folder.key, "--reliable"];
  const { server, at } = await listener(secret);
  await using _server = server;
  await using line = new FailingLine(
    at.port,
    (connection) =>
      connection < 2 ? { kind: "reset", after: 500_000 } : { kind: "none" },
  );
  await using sender = sockpipe(
    [`--connect=${line.port}`, ...secret, "--retry-delay=20ms"],
    { stdin: data },
  );
  assertEquals(await sender.code(), 0, sender.stderr.text());
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(line.incidents, 2);
  assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
});

Deno.test("files arrive whole with a secret, and it proves their receipts", async () => {
  using folder = await Secrets.make();
  const file = (name: string) => `${folder.path}/${name}`;
  const data = randomBytes(1_000_000, 4);
  const secret = ["--secret-file", folder.key, "--reliable"];
  const { server, at } = await listener([
    ...secret,
    ...["--output", file("copy"), "--receipt", file("received")],
  ]);
  await using _server = server;
  const connect = [`--connect=${at.port}`, ...secret];
  await using sender = sockpipe([...connect, "--receipt", file("sent")], {
    stdin: data,
  });
  assertEquals(await sender.code(), 0, sender.stderr.text());
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(await Deno.readFile(file("copy")), data);
  for (
    const [receipt, key, code] of [
      ["sent", folder.key, 0],
      ["received", folder.key, 0],
      ["received", folder.other, 7],
    ] as const
  ) {
    await using checked = sockpipe([
      ...["--check-receipt", file(receipt), "--secret-file", key],
    ]);
    assertEquals(await checked.code(), code, checked.stderr.text());
    if (code === 0) assertStringIncludes(checked.stdout.text(), "proven: ");
  }
});

Deno.test("--broker, --exec, --serve, --limit-rate and --probe go with a secret", async () => {
  using folder = await Secrets.make();
  const secret = ["--secret-file", folder.key];
  const file = await folder.write("file", "the file");
  const cases: [args: string[], answer: string][] = [
    [["--exec", "tr a-z A-Z"], "HELLO"],
    [["--serve", file], "the file"],
    [["--limit-rate=1M", "--message=hi"], "hi"],
  ];
  for (const [args, answer] of cases) {
    const { server, at } = await listener([...secret, ...args]);
    await using _server = server;
    const connect = [`--connect=${at.port}`, ...secret];
    await using friend = sockpipe(connect, { stdin: "hello" });
    assertEquals(await friend.code(), 0, friend.stderr.text());
    assertEquals(friend.stdout.text(), answer);
    assertEquals(await server.code(), 0, server.stderr.text());
  }
  const { server, at } = await listener([...secret, "--broker"]);
  await using _server = server;
  const connect = [`--connect=${at.port}`, ...secret];
  await using probe = sockpipe([...connect, "--probe"]);
  assertEquals(await probe.code(), 0, probe.stderr.text());
  await using one = sockpipe([...connect, "-v"], { stdin: "piped" });
  await using two = sockpipe([...connect, "-v"], { stdin: "piped" });
  await Promise.all([one, two].map((friend) => friend.said(/connected to/)));
  await server.stderr.match(/listening/);
  const heard = two.stdout.match(/psst/);
  const talking = setInterval(() => one.feed("psst\n").catch(() => {}), 50);
  await heard.finally(() => clearInterval(talking));
});

/** Two listeners that make an encrypted tunnel to `target`; each may be stopped. */
async function tunnel(
  folder: Secrets,
  target: number,
): Promise<AsyncDisposable & { readonly port: number }> {
  const many = ["--keep-open", "--listen=0"];
  const there = sockpipe([
    ...many,
    `--secret-file=${folder.key}`,
    `--forward=${target}`,
  ]);
  const far = await there.listening();
  const here = sockpipe([
    ...many,
    `--forward=${far.address}`,
    `--forward-secret-file=${folder.key}`,
  ]);
  const { port } = await here.listening();
  return {
    port,
    async [Symbol.asyncDispose]() {
      await here[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
    },
  };
}

testWith(
  ["redis-server", "redis-cli"],
  "two commands make an encrypted tunnel for redis",
  async () => {
    using folder = await Secrets.make();
    const port = closedPort();
    await using redis = run([
      "redis-server",
      ...["--port", `${port}`, "--save", "", "--dir", folder.path],
    ]);
    await redis.stdout.match(/Ready to accept connections/);
    await using through = await tunnel(folder, port);
    const script = `
      p=$1
      redis-cli -p $p set key "$(head -c 100000 /dev/zero | tr '\\0' x)"
      redis-cli -p $p strlen key
      redis-benchmark -p $p -q -n 2000 -c 20 -P 4 -t set,get > /dev/null && echo done`;
    await using client = shell(script, [`${through.port}`]);
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(client.stdout.text(), "OK\n100000\ndone\n");
  },
);

Deno.test("--forward-secret-file sends nothing to a listener with another secret", async () => {
  using folder = await Secrets.make();
  const { server, at } = await listener(
    [`--secret-file=${folder.other}`, "--keep-open"],
    { stdin: "piped" },
  );
  await using _server = server;
  const way = [
    `--forward=${at.address}`,
    `--forward-secret-file=${folder.key}`,
  ];
  const { server: here, at: near } = await listener([...way, "--keep-open"]);
  await using _here = here;
  await using asking = client(near.port);
  assertEquals(await asking.code(), 1, asking.stderr.text());
  await here.said(/it has another secret than that of --forward-secret-file/);
  await server.said(/refused \S+: it has another secret, or none/);
  assertEquals(server.stdout.text() + asking.stdout.text(), "");
});

testWith(
  ["openssl"],
  "--forward-tls goes on to a TLS server, verified by its CA and name",
  async () => {
    using folder = await certificates();
    const { server, at } = await listener([
      ...keyOptions(folder),
      "--keep-open",
    ], { stdin: "piped" });
    await using _server = server;
    const far = `--forward=localhost:${at.port}`;
    const tls = ["--forward-tls", `--tls-ca=${folder.path}/ca.crt`];
    for (
      const [args, code] of [[tls, 0], [["--forward-tls"], 1], [[
        ...tls,
        "--tls-name=elsewhere.example",
      ], 1]] as const
    ) {
      const { server: here, at: near } = await listener([far, ...args]);
      await using _here = here;
      await using asking = sockpipe(
        [`--connect=${near.port}`, "--send-only"],
        { stdin: code === 0 ? "through\n" : "never\n" },
      );
      if (code === 0) {
        await server.stdout.match(/through/);
        await server.endStdin();
      }
      assertEquals(await asking.code(), code, asking.stderr.text());
    }
    assertEquals(server.stdout.text(), "through\n");
  },
);

testWith(
  ["openssl"],
  "openssl verifies the listener's certificate with itself as the anchor",
  async () => {
    using folder = await Secrets.make();
    const { cert } = await derivedKeyPair(folder.secret);
    const file = await folder.write("cert", cert);
    await using verified = run([
      ...["openssl", "verify", "-x509_strict", "-CAfile", file, file],
    ]);
    assertEquals(await verified.code(), 0, verified.stderr.text());
    const { server, at } = await listener([`--secret-file=${folder.key}`]);
    await using _server = server;
    await using shown = shell(
      `openssl s_client -connect 127.0.0.1:$1 -CAfile $2 -verify_return_error </dev/null | openssl x509`,
      [`${at.port}`, file],
    );
    assertEquals(await shown.code(), 0, shown.stderr.text());
    assertEquals(shown.stdout.text(), cert);
  },
);
