/** `--token-file`. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { Folder } from "../../helpers/folder.ts";
import type { Running } from "../../helpers/process.ts";
import { canPin, listener, sockpipe } from "../../helpers/program.ts";
import { dial } from "../../helpers/tcp.ts";
import { FailingLine } from "../../helpers/proxy.ts";

// The program.

/** A key for TLS and two tokens; the second is for the wrong people. */
async function secrets(): Promise<Folder> {
  const folder = new Folder();
  const { cert, key } = await makeSelfSigned(["localhost"]);
  const files = {
    crt: cert,
    key,
    token: "0123456789abcdef\n",
    copy: "\n0123456789abcdef \r\n",
    wrong: "0123456789abcdeF",
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder.path}/${name}`, text, { mode: 0o600 });
  }
  return folder;
}

function listenArgs({ path }: Folder): string[] {
  const files = ["--tls-cert", `${path}/crt`, "--tls-key", `${path}/key`];
  return ["--reliable", "--tls", ...files];
}

function connectArgs({ path }: Folder, port: number): string[] {
  const trust = ["--tls", "--tls-ca", `${path}/crt`];
  return ["--connect", `localhost:${port}`, "--reliable", ...trust];
}

Deno.test("a token on both sides: both streams arrive, over broken connections too", async () => {
  using folder = await secrets();
  const [a, b] = [randomBytes(3_000_000, 1), randomBytes(2_000_000, 2)];
  const { server, at } = await listener(
    [...listenArgs(folder), "--token-file", `${folder.path}/token`],
    { stdin: a },
  );
  await using _server = server;
  await using line = new FailingLine(
    at.port,
    (connection) =>
      connection < 4
        ? {
          kind: connection % 2 === 0 ? "reset" : "end",
          // One of them amid the prefaces.
          after: connection === 1 ? 2000 : 900_000,
        }
        : { kind: "none" },
  );
  await using client = sockpipe([
    ...connectArgs(folder, line.port),
    "--token-file",
    `${folder.path}/copy`,
    "--retry-delay=20ms",
  ], { stdin: b });
  assertEquals(await client.code(), 0, client.stderr.text());
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(line.incidents, 4);
  assertEquals(await sha256(server.stdout.bytes()), await sha256(b));
  assertEquals(await sha256(client.stdout.bytes()), await sha256(a));
});

Deno.test("who has no token or a wrong one gets 7 and no byte, and disturbs nobody", async () => {
  using folder = await secrets();
  const { server, at } = await listener(
    [...listenArgs(folder), "--token-file", `${folder.path}/token`],
    { stdin: "piped" },
  );
  await using _server = server;
  const args = connectArgs(folder, at.port);
  const strangers = async () => {
    const wrong = ["--token-file", `${folder.path}/wrong`];
    for (
      const [more, why, said] of [
        [[], /the peer wants a token/, /refused \S+: it has no token/],
        [
          wrong,
          /the peer refused our token/,
          /refused \S+: its token is wrong/,
        ],
      ] as const
    ) {
      await using client = sockpipe([...args, ...more], { stdin: "poison" });
      assertEquals(await client.code(), 7);
      assertMatch(client.stderr.text(), why);
      assertEquals(client.stdout.text(), "");
      await server.said(said);
    }
    // Of another kind, over TLS and without.
    (await dial(at.port)).close();
    const [, ...trust] = args.filter((arg) => arg !== "--reliable");
    await using plain = sockpipe(["--connect", ...trust], { stdin: "poison" });
    await plain.code();
    await server.said(/refused \S+: it speaks something else/);
  };
  await server.feed("for the peer alone");
  await strangers();
  await using client = sockpipe(
    [...args, "--token-file", `${folder.path}/token`],
    { stdin: "piped" },
  );
  await client.stdout.match(/for the peer alone/);
  await client.feed("one");
  await server.stdout.atLeast(3);
  await strangers();
  await client.feed("two");
  await Promise.all([client.endStdin(), server.endStdin()]);
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "onetwo");
  // Every line is the program's own, and none a warning of the runtime.
  for (const line of server.stderr.text().trim().split("\n")) {
    assertMatch(line, /^sockpipe: /);
  }
  assert(!server.stderr.text().includes("broke"));
});

Deno.test("a listener without the token: 7 on the connecting side, which sends nothing", async () => {
  using folder = await secrets();
  const { server, at } = await listener(listenArgs(folder));
  await using _server = server;
  const args = connectArgs(folder, at.port);
  await using client = sockpipe(
    [...args, "--token-file", `${folder.path}/token`],
    { stdin: "secret" },
  );
  assertEquals(await client.code(), 7);
  assertMatch(client.stderr.text(), /the peer has no token; give --token-file/);
  await using other = sockpipe([...args, "--message", "hello"]);
  assertEquals([await other.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "hello");
});

Deno.test("--token-file needs --reliable and --tls, and a file that can be used", async () => {
  using folder = await secrets();
  const token = `--token-file=${folder.path}/token`;
  const none = `--token-file=${folder.path}/none`;
  const cases: readonly [string[], number, RegExp][] = [
    [
      [token, "--tls"],
      2,
      /--token-file belongs to --reliable: .*add --reliable/,
    ],
    [[token, "--reliable"], 2, /--token-file belongs to --tls,.*add --tls/],
    [
      [none, "--reliable", "--tls"],
      8,
      /cannot use --token-file ".*none": no such/,
    ],
  ];
  for (const [args, code, why] of cases) {
    await using client: Running = sockpipe([
      "--connect",
      "localhost:1",
      "--retries=0",
      ...args,
    ]);
    assertEquals(await client.code(), code);
    assertMatch(client.stderr.text(), why);
  }
});

Deno.test("with --tls-self-signed a token needs no pin, over broken connections too", async () => {
  if (!await canPin()) return;
  using folder = await secrets();
  const token = ["--reliable", "--tls", "--token-file", `${folder.path}/token`];
  const { server, at } = await listener(["--tls-self-signed", ...token]);
  await using _server = server;
  await using line = new FailingLine(
    at.port,
    (connection) =>
      connection === 0 ? { kind: "reset", after: 300_000 } : { kind: "none" },
  );
  const data = randomBytes(1_000_000, 3);
  const args = ["--connect", `${line.port}`, "--retry-delay=20ms", ...token];
  await using client = sockpipe(args, { stdin: data });
  assertEquals(await client.code(), 0, client.stderr.text());
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
});

Deno.test("somebody between two TLS connections passes the proofs on in vain: 7, and no byte", async () => {
  if (!await canPin()) return;
  using folder = await secrets();
  using other = await secrets();
  const token = ["--token-file", `${folder.path}/token`];
  const { server, at } = await listener([...listenArgs(folder), ...token]);
  await using _server = server;
  const [cert, key, ca] = await Promise.all([
    Deno.readTextFile(`${other.path}/crt`),
    Deno.readTextFile(`${other.path}/key`),
    Deno.readTextFile(`${folder.path}/crt`),
  ]);
  using between = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  await using client = sockpipe([
    ...["--connect", `${between.addr.port}`, "--reliable", "--tls", ...token],
    ...["--message", "secret"],
  ]);
  using near = await between.accept();
  using far = await Deno.connectTls({
    hostname: "localhost",
    port: at.port,
    caCerts: [ca],
  });
  const passed = Promise.allSettled([
    near.readable.pipeTo(far.writable),
    far.readable.pipeTo(near.writable),
  ]);
  assertEquals(await client.code(), 7);
  await server.said(/refused .*its token is wrong/);
  await passed;
  assertEquals(server.stdout.text(), "");
});
