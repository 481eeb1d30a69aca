/** Variables of the runtime that trust more, or tell the keys: they must change nothing. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  certificates,
  keyOptions,
  openssl,
} from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

for (const name of ["DENO_CERT", "NODE_EXTRA_CA_CERTS"]) {
  testWith(
    ["openssl"],
    `${name} does not make anybody trusted`,
    async () => {
      using folder = await certificates();
      const { server, at } = await listener(keyOptions(folder));
      await using _server = server;
      await using client = sockpipe(
        [`--connect=localhost:${at.port}`, "--tls"],
        { under: ["env", `${name}=${folder.path}/ca.crt`], stdin: "secret" },
      );
      assertEquals(await client.code(), 7, client.stderr.text());
      assertStringIncludes(client.stderr.text(), "not trusted here");
      assertEquals(server.stdout.text(), "");
    },
  );
}

testWith(
  ["openssl"],
  "no variable makes a dialler with a secret trust a CA of somebody on the way",
  async () => {
    using folder = await openssl(`
      root rogue "a CA of this company"
      issue impostor sockpipe.invalid rogue "$LEAF"'subjectAltName=DNS:sockpipe.invalid\n'`);
    const file = (name: string) => `${folder.path}/${name}`;
    await using secret = sockpipe(["--new-secret", file("key")]);
    assertEquals(await secret.code(), 0, secret.stderr.text());
    const env = [
      "DENO_CERT",
      "NODE_EXTRA_CA_CERTS",
      "SSL_CERT_FILE",
    ].map((name) => `${name}=${file("rogue.crt")}`);
    const under = [
      "env",
      "DENO_TLS_CA_STORE=system",
      "NODE_TLS_REJECT_UNAUTHORIZED=0",
      ...env,
    ];
    const { server, at } = await listener(
      [...keyOptions(folder, "impostor"), "--keep-open"],
      { stdin: "piped" },
    );
    await using _server = server;
    const connect = [`--connect=${at.port}`, "--secret-file", file("key")];
    await using dialler = sockpipe(connect, { under, stdin: "data" });
    assertEquals(await dialler.code(), 7, dialler.stderr.text());
    assertStringIncludes(dialler.stderr.text(), "it has another secret");
    await server.said(/refused \S+: it does not trust the CA/);
    assertEquals(server.stdout.text(), "");
  },
);

testWith(
  ["openssl"],
  "SSLKEYLOGFILE is told no key, on either side",
  async () => {
    using folder = await certificates();
    const log = `${folder.path}/keys`;
    const under = ["env", `SSLKEYLOGFILE=${log}`];
    const { server, at } = await listener(keyOptions(folder), { under });
    await using _server = server;
    await using client = sockpipe([
      `--connect=localhost:${at.port}`,
      "--tls",
      `--tls-ca=${folder.path}/ca.crt`,
    ], { under, stdin: "data" });
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(server.stdout.text(), "data");
    // The runtime may have made the file before the program began.
    const told = await Deno.readTextFile(log).catch(() => "");
    assertEquals(told, "");
  },
);

testWith(
  ["setpriv"],
  "SSLKEYLOGFILE is told no key either when it can only be written",
  async () => {
    using folder = new Folder();
    const file = (name: string) => `${folder.path}/${name}`;
    await using secret = sockpipe(["--new-secret", file("key")]);
    assertEquals(await secret.code(), 0, secret.stderr.text());
    await Deno.writeTextFile(file("log"), "", { mode: 0o200 });
    // Root without the right to read what its permissions forbid.
    const drop = "--bounding-set=-dac_override,-dac_read_search";
    const under = [
      ...Deno.uid() === 0 ? ["setpriv", drop] : [],
      "env",
      `SSLKEYLOGFILE=${file("log")}`,
    ];
    const options = ["--secret-file", file("key")];
    const { server, at } = await listener(options, { stdin: "" });
    await using _server = server;
    const connect = [`--connect=${at.port}`, ...options];
    await using client = sockpipe(connect, { under, stdin: "data" });
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals((await Deno.stat(file("log"))).size, 0);
  },
);
