/** What TLS refuses besides certificates, on either side, and what it must not. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { pinOfCertificate } from "../../../lib/tls/x509.ts";
import { firstCertificate } from "../../../lib/tls/key_files.ts";
import {
  keyOptions,
  keys,
  openssl,
  WITHOUT_CAS,
} from "../../helpers/certificates.ts";
import { say, testWith } from "../../helpers/conditions.ts";
import type { Folder } from "../../helpers/folder.ts";
import { listeningPort } from "../../helpers/peers.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { dial, receive, receiveText, send } from "../../helpers/tcp.ts";

/** Both of Deno's ways to be a server, its own TLS and that of `node:tls`. */
async function serverOptions(folder: Folder): Promise<string[][]> {
  const key = keyOptions(folder);
  const pem = await Deno.readTextFile(`${folder.path}/server.crt`);
  const pin = await pinOfCertificate(firstCertificate(pem) ?? new Uint8Array());
  const asking = [...key, `--tls-client-pin=${pin}`];
  await using tried = sockpipe(
    ["--listen=0", ...asking, "--accept-timeout=1ms"],
  );
  if (await tried.code() !== 2) return [key, asking];
  say("only without client certificates, as this runtime cannot ask for them");
  return [key];
}

/** What clients send that are none, or broken. */
const BROKEN: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ["plain text", new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n")],
  ["nothing", new Uint8Array()],
  ["zeros", new Uint8Array(1000)],
  ["half a header", new Uint8Array([22, 3])],
  ["half a hello", new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252])],
  ["a hello of zeros", new Uint8Array([22, 3, 1, 0, 4, 1, 0, 0, 0])],
  ["a huge record", new Uint8Array([22, 3, 1, 255, 255, 1, ...Array(9000)])],
  ["data at once", new Uint8Array([23, 3, 3, 0, 4, 1, 2, 3, 4])],
  ["SSL 2", new Uint8Array([128, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16, 1, 0, 128])],
];

for (const more of [[], ["--keep-open", "--connections=2"]]) {
  const with_ = more.length > 0 ? "with" : "without";
  Deno.test(`clients that break off do not end a listener ${with_} --keep-open`, async () => {
    using folder = await keys(["server"]);
    for (const options of await serverOptions(folder)) {
      const { server, at } = await listener(
        [...options, ...more, "--receive-only"],
      );
      await using _server = server;
      using mute = await dial(at.port);
      for (const [what, bytes] of BROKEN) {
        using broken = await dial(at.port);
        await send(broken, bytes);
        await broken.closeWrite();
        const answer = await receive(broken).catch(() => new Uint8Array());
        // At most an alert, of 7 bytes.
        assert(answer.length <= 7, `${what}: ${answer}`);
      }
      for (let left = more.length > 0 ? 2 : 1; left > 0; left--) {
        await using client = sockpipe([
          `--connect=${at.address}`,
          ...keyOptions(folder),
          `--tls-ca=${folder.path}/server.crt`,
        ], { stdin: "ours" });
        assertEquals(await client.code(), 0, client.stderr.text());
      }
      assertEquals(await server.code(), 0, server.stderr.text());
      assert(/^(ours){1,2}$/.test(server.stdout.text()), server.stdout.text());
      assertEquals(await receiveText(mute).catch(() => ""), "");
    }
  });
}

/** Suites with forward secrecy and authenticated encryption: the only ones. */
const SUITES = {
  ec: [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
  ],
  rsa: [
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ],
} as const;

/** TLS 1.3's, as openssl calls them (RFC 8446 appendix B.4). */
const SUITES_13 = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
];

testWith(
  ["openssl"],
  "a listener's versions and ciphers, as testssl asks",
  async () => {
    using folder = await openssl(`
    root ca "our CA"
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
    issue rsa localhost ca "$LEAF$NAMES"
    issue ec localhost ca "$LEAF$NAMES"
    cp ec.crt server.crt; cp ec.key server.key
  `);
    const others = Object.values(SUITES).flat().map((name) => `:!${name}`).join(
      "",
    );
    const old = `ALL:COMPLEMENTOFALL:@SECLEVEL=0${others}`;
    for (const kind of ["rsa", "ec"] as const) {
      const [, asking] = await serverOptions(folder);
      // Either way to be a server with the usual kind of key, one with the other.
      const isBoth = asking !== undefined && kind === "ec";
      for (const more of isBoth ? [[], asking.slice(3)] : [[]]) {
        const { server, at } = await listener(
          [...keyOptions(folder, kind), ...more, "--keep-open"],
          { stdin: "piped" },
        );
        await using _server = server;
        const ask = async (...options: string[]) => {
          await using client = shell(
            `exec openssl s_client ${WITHOUT_CAS} -connect 127.0.0.1:"$1" -cert "$2" -key "$3" "${"$"}{@:4}" </dev/null 2>&1`,
            [
              at.port,
              `${folder.path}/server.crt`,
              `${folder.path}/server.key`,
              ...options,
            ],
          );
          await client.code();
          return client.stdout.text();
        };
        for (const version of ["-tls1", "-tls1_1"]) {
          const said = await ask(version, "-cipher", "ALL:@SECLEVEL=0");
          assertStringIncludes(said, "Cipher is (NONE)", version);
          assertMatch(
            said,
            /alert (protocol version|handshake failure)/,
            version,
          );
        }
        const refused = await ask("-tls1_2", "-cipher", old);
        assertStringIncludes(refused, "alert handshake failure");
        // At once, as openssl waits half a second for the listener's end.
        const asked12 = SUITES[kind].map(async (suite) => {
          const said = await ask("-tls1_2", "-cipher", suite);
          assertStringIncludes(said, `Cipher is ${suite}`);
          assertStringIncludes(said, "Secure Renegotiation IS supported");
          assertStringIncludes(said, "Compression: NONE");
        });
        const asked13 = SUITES_13.map(async (suite) => {
          const said = await ask("-tls1_3", "-ciphersuites", suite);
          assertStringIncludes(said, `Cipher is ${suite}`);
        });
        await Promise.all([...asked12, ...asked13]);
      }
    }
  },
);

testWith(
  ["openssl"],
  "a client that renegotiates is refused, and loses nothing in silence",
  async () => {
    using folder = await keys(["server"]);
    for (const options of await serverOptions(folder)) {
      const { server, at } = await listener([...options, "--receive-only"]);
      await using _server = server;
      await using client = shell(
        'exec openssl s_client -tls1_2 -connect 127.0.0.1:"$1" -cert "$2"/server.crt -key "$2"/server.key 2>&1',
        [at.port, folder.path],
        { stdin: "piped" },
      );
      await client.feed("before\n");
      await server.stdout.match(/before/);
      await client.feed("R\n");
      await client.stdout.match(/RENEGOTIATING\n[^]*(error|alert)/);
      await client.endStdin();
      await client.code();
      assertEquals(await server.code(), 1, server.stderr.text());
      assertEquals(server.stdout.text(), "before\n");
    }
  },
);

testWith(["openssl"], "new keys in TLS 1.3 are no end", async () => {
  using folder = await keys(["server"]);
  for (const options of await serverOptions(folder)) {
    const { server, at } = await listener([...options, "--receive-only"]);
    await using _server = server;
    await using client = shell(
      'exec openssl s_client -tls1_3 -no_ign_eof -connect 127.0.0.1:"$1" -cert "$2"/server.crt -key "$2"/server.key 2>&1',
      [at.port, folder.path],
      { stdin: "piped" },
    );
    let sent = "";
    let updates = 0;
    for (const command of ["k\n", "K\n"]) {
      await client.feed(`before ${command}`);
      await server.stdout.match(new RegExp(sent += `before ${command}`));
      await client.feed(command);
      await client.stdout.nth(/KEYUPDATE/g, ++updates);
    }
    await client.feed("after\n");
    await server.stdout.match(/after/);
    await client.endStdin();
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(server.stdout.text(), `${sent}after\n`);
  }
});

testWith(
  ["openssl"],
  "a record that is larger than our reads is not held back",
  async () => {
    using folder = await keys(["server"]);
    const line = `${"x".repeat(15_000)}\n`;
    for (const options of await serverOptions(folder)) {
      const { server, at } = await listener(
        [...options, "--receive-only", "--data-size=1"],
      );
      await using _server = server;
      await using client = shell(
        'exec openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:"$1" -cert "$2"/server.crt -key "$2"/server.key 2>/dev/null',
        [at.port, folder.path],
        { stdin: "piped" },
      );
      await client.feed(line);
      // All of it, while the client keeps still.
      await server.stdout.atLeast(line.length);
      await client.endStdin();
      assertEquals(await server.code(), 0, server.stderr.text());
      assertEquals(server.stdout.text(), line);
    }
  },
);

testWith(["openssl"], "the name is told to the server (SNI)", async () => {
  using folder = await openssl(`
    root ca "our CA"
    issue one localhost ca "$LEAF$NAMES"
    issue two other ca "$LEAF"'subjectAltName=DNS:other.example\\n'
  `);
  const pem = await Deno.readTextFile(`${folder.path}/two.crt`);
  const pin = await pinOfCertificate(firstCertificate(pem) ?? new Uint8Array());
  const kinds = [`--tls-ca=${folder.path}/ca.crt`, `--tls-pin=${pin}`];
  for (const options of kinds) {
    await using server = shell(
      "cd $1; exec openssl s_server -quiet -accept 127.0.0.1:0 -cert one.crt -key one.key -servername other.example -cert2 two.crt -key2 two.key",
      [folder.path],
    );
    const port = await listeningPort(server);
    await using client = sockpipe([
      `--connect=127.0.0.1:${port}`,
      "--tls",
      options,
      "--tls-name=other.example",
      "--probe",
    ]);
    const code = await client.code();
    if (code === 2) say("not by pin, as this runtime cannot");
    else assertEquals(code, 0, client.stderr.text());
  }
});
