/** TLS with the peers that people have. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { keyOptions, keys } from "../../helpers/certificates.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { listeningPort } from "../../helpers/peers.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { clientOptions } from "../../helpers/tls_clients.ts";

/** A peer of another make, as listener or client, with certificate files. */
interface Foreign {
  readonly name: string;
  readonly program: string;
  /** Sends stdin, and what it receives goes to stdout; $1 port, $2 folder. */
  readonly connect: string;
  readonly listen: string;
}

const FOREIGN: readonly Foreign[] = [
  {
    name: "openssl",
    program: "openssl",
    connect:
      "openssl s_client -quiet -no_ign_eof -verify_return_error -CAfile $2/server.crt -connect localhost:$1 2>/dev/null",
    listen:
      "exec openssl s_server -quiet -naccept 1 -accept 127.0.0.1:0 -cert $2/server.crt -key $2/server.key",
  },
  {
    name: "ncat",
    program: "ncat",
    connect: "ncat --ssl-verify --ssl-trustfile $2/server.crt localhost $1",
    listen:
      "exec ncat -l 127.0.0.1 0 --ssl --ssl-cert $2/server.crt --ssl-key $2/server.key",
  },
  {
    name: "socat",
    program: "socat",
    connect: "socat - OPENSSL:localhost:$1,cafile=$2/server.crt",
    listen:
      "exec socat - OPENSSL-LISTEN:0,bind=127.0.0.1,cert=$2/server.crt,key=$2/server.key,verify=0",
  },
];

for (const { name, program, connect, listen } of FOREIGN) {
  testWith([program], `TLS from ${name} to a listener`, async () => {
    using folder = await keys(["server"]);
    // Digits, as openssl takes a Q or R at the start of a line for a command.
    const data = randomBytes(500_000, 7).map((byte) => 48 + byte % 10);
    const { server, at } = await listener([
      ...keyOptions(folder),
      "--receive-only",
    ]);
    await using _server = server;
    await Deno.writeFile(`${folder.path}/data`, data);
    await using client = shell(`${connect} < $2/data`, [at.port, folder.path]);
    await client.code();
    // ncat ends TCP without the close_notify of TLS, as one who cuts does.
    const code = name === "ncat" ? 1 : 0;
    assertEquals(await server.code(), code, server.stderr.text());
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
  });

  testWith([program], `TLS to ${name} as a listener`, async () => {
    using folder = await keys(["server"]);
    const data = randomBytes(500_000, 9);
    for (const [kind, options] of clientOptions(folder)) {
      await using server: Running = shell(listen, ["", folder.path], {
        stdin: "piped",
      });
      const port = await listeningPort(server);
      await using client = sockpipe(
        ["--connect", `localhost:${port}`, ...options, "--send-only"],
        { stdin: data },
      );
      await server.stdout.atLeast(data.length);
      await server.endStdin();
      await client.code();
      assertEquals(
        await sha256(server.stdout.bytes()),
        await sha256(data),
        kind,
      );
    }
  });
}

testWith(["openssl"], "versions of TLS before 1.2 are refused", async () => {
  using folder = await keys(["server"]);
  const { server, at } = await listener(keyOptions(folder), {
    stdin: "for others only",
  });
  await using _server = server;
  const old = "openssl s_client -connect localhost:$1 -cipher ALL:@SECLEVEL=0";
  for (const version of ["-tls1", "-tls1_1"]) {
    await using client = shell(`${old} ${version} </dev/null`, [at.port]);
    await client.code();
    assert(!client.stdout.text().includes("for others"));
  }
  await server.said(/refused .*\n[^]*refused .*TLS 1\.2 or 1\.3/);
  await using client = shell(
    "openssl s_client -connect localhost:$1 -brief -tls1_2 </dev/null 2>&1",
    [at.port],
  );
  await client.stdout.match(/TLSv1\.2/);
});

testWith(
  ["openssl"],
  "an HTTPS server is asked as the README does it",
  async () => {
    using folder = await keys(["server"]);
    await using server = shell(
      "exec openssl s_server -www -accept 127.0.0.1:0 -cert $1/server.crt -key $1/server.key",
      [folder.path],
    );
    const port = await listeningPort(server);
    await using client = shell(
      "printf 'GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' | sockpipe --connect localhost:$1 --tls --tls-ca $2/server.crt",
      [port, folder.path],
    );
    assertEquals(await client.code(), 0, client.stderr.text());
    assertStringIncludes(client.stdout.text(), "HTTP/1.0 200 ok");
  },
);
