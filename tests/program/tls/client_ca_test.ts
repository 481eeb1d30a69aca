/** `--tls-client-ca`: which clients a listener lets in, and that all others get and leave no
 * byte. The clients are openssl's, which sends whatever certificate it is told to, and its
 * data at once. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { keyOptions } from "../../helpers/certificates.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { say, testWith } from "../../helpers/conditions.ts";
import type { Running } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { FailingLine } from "../../helpers/proxy.ts";
import {
  type Client,
  clientCertificates,
  connectWith,
} from "../../helpers/client_certificates.ts";

/** Whether the runtime of the program can ask for certificates; Deno 2.4 cannot. */
const HAS_CLIENT_CA = await hasClientCa();

async function hasClientCa(): Promise<boolean> {
  const args = [
    "--listen=0",
    "--tls",
    "--tls-self-signed",
    "--accept-timeout=1ms",
  ];
  await using tried = sockpipe([...args, "--tls-client-ca=/dev/null"]);
  return await tried.code() !== 2;
}

/** A test of what needs `--tls-client-ca`. */
function caTest(name: string, fn: () => Promise<void>): void {
  if (HAS_CLIENT_CA) testWith(["openssl"], name, fn);
  else say(`skipped, as this runtime cannot ask for certificates: ${name}`);
}

/** Why a client is not let in, as the listener says it. */
interface Refused extends Client {
  readonly reason: RegExp;
}

const NO_CA = /no CA in --tls-client-ca vouches for its certificate/;
const NOT_V3 = /is not one that can be verified/;
const NO_PROOF = /has not proved to have the key/;

const LET_IN: readonly Client[] = [
  { what: "a certificate of the CA", cert: "client" },
  { what: "one that is for clients", cert: "purpose" },
  { what: "an RSA key", cert: "rsa" },
  { what: "an Ed25519 key", cert: "ed25519" },
  { what: "one by way of a CA between", cert: "below", chain: "middle" },
  { what: "the certificate in FILE itself", cert: "ca" },
];

const KEPT_OUT: readonly Refused[] = [
  { what: "one that nobody has signed", cert: "unsigned", reason: NO_CA },
  { what: "the right name alone", cert: "posing", reason: NO_CA },
  { what: "a CA of the same name", cert: "twins", reason: NO_CA },
  {
    what: "and it sent along",
    cert: "twins",
    chain: "twin",
    reason: NO_CA,
  },
  { what: "an old one", cert: "expired", reason: /expired on 2021-01-01/ },
  {
    what: "one of later",
    cert: "early",
    reason: /not valid before 2099-01-01/,
  },
  {
    what: "one for servers",
    cert: "server-only",
    reason: NO_CA,
  },
  { what: "a critical extension", cert: "unknown", reason: /cannot be read/ },
  { what: "no CA", cert: "under-leaf", chain: "client", reason: NO_CA },
  { what: "a CA between that is not sent", cert: "below", reason: NO_CA },
  {
    what: "a CA between that is too old",
    cert: "under-old",
    chain: "old-middle",
    reason: NO_CA,
  },
  {
    what: "a CA between that may not sign",
    cert: "under-no-signer",
    chain: "no-signer",
    reason: NO_CA,
  },
  {
    what: "more CAs between than allowed",
    cert: "under-deep",
    chain: "deep",
    reason: NO_CA,
  },
  {
    what: "a name that its CA may not sign",
    cert: "outside",
    chain: "narrow",
    reason: NO_CA,
  },
  { what: "X.509 v1", cert: "v1", key: "client", reason: NOT_V3 },
  { what: "a damaged one", cert: "damaged", key: "client", reason: NO_CA },
  {
    what: "a right one without its key",
    cert: "client",
    key: "client-forged",
    reason: NO_PROOF,
  },
  {
    what: "the CA's without its key",
    cert: "ca",
    key: "ca-forged",
    reason: NO_PROOF,
  },
  {
    what: "an old CA's without its key",
    cert: "v1-ca",
    key: "v1-ca-forged",
    reason: NOT_V3,
  },
];

/** Waits until the listener has refused so many clients, and has said why. */
async function refusal(server: Running, count: number): Promise<string> {
  const [, reason = ""] = await server.stderr.nth(
    /refused \S+: ([^\n]*)\n/g,
    count,
  );
  return reason;
}

const VERSIONS = ["-tls1_2", "-tls1_3"];

caTest("--tls-client-ca keeps out all others, who get no byte", async () => {
  const folder = await clientCertificates();
  const { server, at } = await listener([
    ...keyOptions(folder),
    `--tls-client-ca=${folder.path}/cas.crt`,
  ], { stdin: "piped" });
  await using _server = server;
  await server.feed("for friends");
  let refused = 0;
  for (const { what, reason, ...certificate } of KEPT_OUT) {
    for (const version of VERSIONS) {
      await using client = connectWith(folder, at, certificate, [version]);
      await client.code();
      const said = client.stdout.text();
      assertStringIncludes(said, "CONNECTED", what);
      assert(!said.includes("for friends"), `${what}, ${version}`);
      const given = await refusal(server, ++refused);
      assert(reason.test(given), `${what}, ${version}: ${given}`);
    }
  }
  await using right = connectWith(folder, at, { cert: "client" }, []);
  await right.stdout.match(/for friends/);
  // openssl leaves at our end, whatever it has still to send.
  await server.stdout.atLeast(5);
  await server.endStdin();
  await right.endStdin();
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(server.stdout.text(), "ours\n");
});

caTest("--tls-client-ca lets in those with a certificate", async () => {
  const folder = await clientCertificates();
  const { server, at } = await listener([
    ...keyOptions(folder),
    `--tls-client-ca=${folder.path}/ca.crt`,
    "--keep-open",
    "--receive-only",
    `--connections=${LET_IN.length * VERSIONS.length}`,
  ]);
  await using _server = server;
  let bytes = 0;
  for (const { what, ...certificate } of LET_IN) {
    for (const version of VERSIONS) {
      await using client = connectWith(folder, at, certificate, [version]);
      await server.stdout.atLeast(bytes += 5);
      await client.endStdin();
      await client.code();
      assert(!/refused/.test(server.stderr.text()), `${what}, ${version}`);
    }
  }
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(server.stdout.text(), "ours\n".repeat(bytes / 5));
});

caTest(
  "a session that is resumed lets in who was let in, and no other",
  async () => {
    const folder = await clientCertificates();
    const { server, at } = await listener([
      ...keyOptions(folder),
      `--tls-client-ca=${folder.path}/ca.crt`,
      "--keep-open",
      "--receive-only",
      "--connections=4",
    ]);
    await using _server = server;
    let refused = 0;
    let bytes = 0;
    for (const version of VERSIONS) {
      const session = `${folder.path}/session${version}`;
      for (const cert of ["unsigned", "client"]) {
        for (
          const [option, said] of [["-sess_out", "New"], ["-sess_in", "Reused"]]
        ) {
          const options = [version, `${option}=${session}`];
          await using client = connectWith(folder, at, { cert }, options);
          if (cert === "client") {
            await client.stdout.match(/TLS session ticket:/);
            await server.stdout.atLeast(bytes += 5);
            await client.endStdin();
          } else {
            assert(NO_CA.test(await refusal(server, ++refused)));
          }
          await client.code();
          assertStringIncludes(client.stdout.text(), `${said}, TLSv1`);
        }
      }
    }
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(server.stdout.text(), "ours\n".repeat(4));
  },
);

caTest("--tls-client-ca between two sockpipes", async () => {
  const folder = await clientCertificates();
  const { server, at } = await listener([
    ...keyOptions(folder),
    `--tls-client-ca=${folder.path}/ca.crt`,
  ], { stdin: "for friends" });
  await using _server = server;
  const trust = `--tls-ca=${folder.path}/ca.crt`;
  const client = (...key: string[]) =>
    sockpipe(["--connect", at.address, "--tls", trust, ...key], {
      stdin: "ours",
    });
  await using without = client();
  assertEquals(await without.code(), 7, without.stderr.text());
  assertStringIncludes(without.stderr.text(), "wants a client certificate");
  assertStringIncludes(await refusal(server, 1), "no client certificate");
  await using unsigned = client(...keyOptions(folder, "unsigned").slice(1));
  // It is judged after the handshake, and node:tls can send no alert then.
  assertEquals(await unsigned.code(), 1, unsigned.stderr.text());
  assertStringIncludes(unsigned.stderr.text(), "our client certificate");
  assert(NO_CA.test(await refusal(server, 2)));
  assertEquals(without.stdout.text() + unsigned.stdout.text(), "");
  await using right = client(...keyOptions(folder, "purpose").slice(1));
  assertEquals(await right.code(), 0, right.stderr.text());
  assertEquals(right.stdout.text(), "for friends");
  assertEquals(await server.code(), 0, server.stderr.text());
  assertEquals(server.stdout.text(), "ours");
});

caTest(
  "--reliable with client certificates comes back after cuts",
  async () => {
    const folder = await clientCertificates();
    const data = randomBytes(2_000_000, 6);
    const { server, at } = await listener([
      ...keyOptions(folder),
      `--tls-client-ca=${folder.path}/ca.crt`,
      "--reliable",
    ]);
    await using _server = server;
    await using line = new FailingLine(
      at.port,
      (connection) =>
        connection < 2 ? { kind: "reset", after: 500_000 } : { kind: "none" },
    );
    await using client = sockpipe([
      `--connect=localhost:${line.port}`,
      ...keyOptions(folder, "client"),
      `--tls-ca=${folder.path}/ca.crt`,
      "--reliable",
      "--retry-delay=20ms",
    ], { stdin: data });
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(line.incidents, 2);
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
  },
);

caTest("--tls-client-ca names a file with CAs", async () => {
  const folder = await clientCertificates();
  const file = (name: string) => `${folder.path}/${name}`;
  const ca = await Deno.readTextFile(file("ca.crt"));
  await Deno.writeTextFile(file("many"), ca.repeat(100));
  await Deno.writeTextFile(file("cut"), ca.replace(/[A-Za-z]{4}\n/, "\n"));
  const cases: [name: string, code: number, reason: string][] = [
    ["nowhere", 8, "cannot read --tls-client-ca"],
    ["ca.key", 7, "there is no certificate in PEM in it"],
    ["cut", 7, "it has a damaged certificate in it"],
    ["many", 7, "there are too many certificates in it"],
    ["no-signer.crt", 7, "a certificate in it that may not sign others"],
  ];
  for (const [name, code, reason] of cases) {
    await using tried = sockpipe([
      "--listen=0",
      ...keyOptions(folder),
      `--tls-client-ca=${file(name)}`,
    ]);
    assertEquals(await tried.code(), code, tried.stderr.text());
    assertStringIncludes(tried.stderr.text(), reason);
  }
});

Deno.test({
  name:
    "a runtime that cannot ask for certificates says so, and does not listen",
  ignore: HAS_CLIENT_CA,
  fn: async () => {
    await using tried = sockpipe([
      "--listen=0",
      "--tls",
      "--tls-self-signed",
      "--tls-client-ca=/dev/null",
    ]);
    assertEquals(await tried.code(), 2);
    assertStringIncludes(tried.stderr.text(), "--tls-client-ca cannot be had");
    assert(!/listening/.test(tried.stderr.text()));
  },
});
