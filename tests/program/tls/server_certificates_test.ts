/** Which servers a client believes, by their certificates and names, and why not the others. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openssl } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { within } from "../../helpers/deadlines.ts";
import type { Folder } from "../../helpers/folder.ts";
import { sockpipe } from "../../helpers/program.ts";
import { receiveText, send } from "../../helpers/tcp.ts";

const MADE = String.raw`
  root ca "our CA"
  root other "another CA"
  root twin "our CA"
  issue good localhost ca "$LEAF$NAMES"
  issue named localhost ca "$LEAF"'subjectAltName=DNS:localhost,DNS:nas.local\n'
  issue four numbers ca "$LEAF"'subjectAltName=IP:127.0.0.1\n'
  issue six numbers ca "$LEAF"'subjectAltName=IP:0:0:0:0:0:0:0:1\n'
  issue common localhost ca "$LEAF"
  issue wild stars ca "$LEAF"'subjectAltName=DNS:*.example.com\n'
  issue stranger localhost other "$LEAF$NAMES"
  issue twins localhost twin "$LEAF$NAMES"
  issue for-clients localhost ca "$LEAF$NAMES"'extendedKeyUsage=clientAuth\n'
  issue under-leaf localhost good "$LEAF$NAMES"
  cat under-leaf.crt good.crt > under-leaf.chain && mv under-leaf.chain under-leaf.crt
  dated expired localhost ca "$LEAF$NAMES" 20200101000000Z 20210101000000Z
  dated early localhost ca "$LEAF$NAMES" 20990101000000Z 20991231000000Z
  openssl req -x509 $EC -keyout own.key -out own.crt -days 3 -subj /CN=localhost -addext subjectAltName=DNS:localhost
  issue odd $'a\tb"c' ca "$LEAF"'subjectAltName=URI:x://y,email:a@b,RID:1.2.3,otherName:1.2.3;UTF8:z,dirName:d,DNS:LOCALHOST,DNS:-\n[d]\nCN=\\e[31m\n'
`;

/** A server's certificate, what the client asks for, and why it does not get it. */
interface Case {
  readonly cert: string;
  /** What stands before the port. */
  readonly host?: string;
  readonly options?: readonly string[];
  /** Absent when it is to be believed. */
  readonly reason?: string;
}

const UNKNOWN = "signed by a CA that is not trusted here";

const CASES: readonly Case[] = [
  { cert: "good" },
  { cert: "good", host: "127.0.0.1" },
  { cert: "named", options: ["--tls-name=nas.local"] },
  { cert: "four", host: "127.0.0.1" },
  { cert: "six", host: "127.0.0.1", options: ["--tls-name=::1"] },
  { cert: "wild", options: ["--tls-name=a.example.com"] },
  { cert: "odd" },
  {
    cert: "named",
    options: ["--tls-name=example.com"],
    reason:
      'its certificate is not for "example.com" but for localhost, nas.local; if one of these is meant, give it with --tls-name',
  },
  { cert: "named", host: "127.0.0.1", reason: "but for localhost, nas.local" },
  { cert: "four", reason: 'is not for "localhost" but for 127.0.0.1' },
  { cert: "six", host: "127.0.0.1", reason: "::1; if" },
  { cert: "common", reason: "is for no name at all" },
  {
    cert: "wild",
    options: ["--tls-name=example.com"],
    reason: "*.example.com",
  },
  {
    cert: "wild",
    options: ["--tls-name=a.b.example.com"],
    reason: "*.example.com",
  },
  { cert: "stranger", reason: UNKNOWN },
  { cert: "twins", reason: "or signed by another CA with the name of one" },
  { cert: "good", options: ["--tls-ca=FOLDER/other.crt"], reason: UNKNOWN },
  { cert: "for-clients", reason: "its certificate is not for servers" },
  { cert: "under-leaf", reason: "is signed by somebody who is no CA" },
  {
    cert: "expired",
    reason: "its certificate expired on 2021-01-01 00:00 UTC",
  },
  { cert: "early", reason: "not valid before 2099-01-01 00:00 UTC" },
  {
    cert: "own",
    options: ["--tls-ca=FOLDER/own.crt"],
    reason: "--tls-pin sha256:",
  },
  { cert: "odd", options: ["--tls-name=example.com"], reason: "LOCALHOST" },
];

testWith(
  ["openssl"],
  "which servers are believed, by CA and name",
  async () => {
    using folder = await openssl(MADE);
    for (const one of CASES) await judge(folder, one);
  },
);

/** Has the program go to a server with this certificate. */
async function judge(
  { path }: Folder,
  { cert, host = "localhost", options = [], reason }: Case,
): Promise<void> {
  using listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(`${path}/${cert}.crt`),
    key: await Deno.readTextFile(`${path}/${cert}.key`),
  });
  const trust = options.some((option) => option.startsWith("--tls-ca"))
    ? []
    : ["--tls-ca=FOLDER/ca.crt"];
  assert(listener.addr.transport === "tcp");
  await using client = sockpipe([
    `--connect=${host}:${listener.addr.port}`,
    "--tls",
    ...[...trust, ...options].map((option) => option.replace("FOLDER", path)),
  ], { stdin: "ours" });
  using conn = await within(listener.accept(), "the client");
  const got = await answer(conn);
  const what = `${cert} ${host} ${options}: ${client.stderr.text()}`;
  assertEquals(await client.code(), reason === undefined ? 0 : 7, what);
  assertStringIncludes(client.stderr.text(), reason ?? "", what);
  const isBelieved = reason === undefined;
  assertEquals(client.stdout.text(), isBelieved ? "for friends" : "", what);
  assertEquals(got, isBelieved ? "ours" : "", what);
}

/** Sends and ends; gives back what the client has sent, nothing if it left. */
async function answer(conn: Deno.TlsConn): Promise<string> {
  try {
    await within(conn.handshake(), "the handshake");
    await send(conn, "for friends");
    await conn.closeWrite();
    return await receiveText(conn);
  } catch {
    return "";
  }
}
