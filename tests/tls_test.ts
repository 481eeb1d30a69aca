import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  dial,
  Folder,
  listener,
  randomBytes,
  run,
  send,
  sha256,
  sockpipe,
  testWith,
} from "./helpers.ts";

/** A CA, and a certificate of it for localhost, made by openssl. */
async function certificates(): Promise<Folder> {
  const folder = new Folder();
  const script = `cd "$1"
    new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "$@"; }
    new -x509 -keyout ca.key -out ca.crt -days 3 -subj /CN=ca
    new -keyout server.key -out server.csr -subj /CN=localhost
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > names
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt`;
  await using made = run(["bash", "-c", script, "bash", folder.path]);
  assertEquals(await made.code(), 0, made.stderr.text());
  return folder;
}

testWith(
  ["openssl"],
  "--tls verifies by a CA and carries both directions",
  async () => {
    using folder = await certificates();
    const file = (name: string) => `${folder.path}/${name}`;
    const { server, at } = await listener(
      [
        "--tls",
        "--tls-cert",
        file("server.crt"),
        "--tls-key",
        file("server.key"),
      ],
      { stdin: "from the listener" },
    );
    await using _server = server;
    const data = randomBytes(3_000_000);
    await using client = sockpipe(
      ["--connect", at.address, "--tls", "--tls-ca", file("ca.crt")],
      { stdin: data },
    );
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(client.stdout.text(), "from the listener");
    assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
  },
);

testWith(
  ["openssl"],
  "--tls refuses an unknown CA and a wrong name, and leaks no byte",
  async () => {
    using folder = await certificates();
    const file = (name: string) => `${folder.path}/${name}`;
    const { server, at } = await listener(
      [
        "--tls",
        "--tls-cert",
        file("server.crt"),
        "--tls-key",
        file("server.key"),
      ],
      { stdin: "secret" },
    );
    await using _server = server;
    for (
      const [args, reason] of [
        [[], "a CA that is not trusted here"],
        [
          ["--tls-ca", file("ca.crt"), "--tls-name", "example.com"],
          "but for localhost",
        ],
      ] as const
    ) {
      await using client = sockpipe(
        ["--connect", at.address, "--tls", ...args],
        { stdin: "ours" },
      );
      assertEquals(await client.code(), 7);
      assertStringIncludes(client.stderr.text(), reason);
      assertEquals(client.stdout.text(), "");
    }
    assertEquals(server.stdout.text(), "");
  },
);

testWith(
  [],
  "a mute and a plain client of a TLS listener neither block nor kill it",
  async () => {
    const { server, at } = await listener(["--tls", "--tls-self-signed"]);
    await using _server = server;
    using _mute = await dial(at.port);
    using plain = await dial(at.port);
    await send(plain, "GET / HTTP/1.0\r\n\r\n");
    await server.said(/refused .*: it does not speak TLS/);
    const [pin] = await server.said(/sha256:[0-9a-f]{64}/);
    await using client = sockpipe(
      ["--connect", at.address, "--tls", "--tls-pin", pin],
      { stdin: "pinned" },
    );
    assertEquals(await client.code(), 0, client.stderr.text());
    assertEquals(await server.code(), 0, server.stderr.text());
    assertEquals(server.stdout.text(), "pinned");
  },
);

testWith([], "--tls-pin refuses another key and names both pins", async () => {
  const { server, at } = await listener(["--tls", "--tls-self-signed"]);
  await using _server = server;
  const other = `sha256:${"0".repeat(64)}`;
  await using client = sockpipe(
    ["--connect", at.address, "--tls", "--tls-pin", other],
    { stdin: "ours" },
  );
  assertEquals(await client.code(), 7);
  const [pin] = await server.said(/sha256:[0-9a-f]{64}/);
  assertStringIncludes(client.stderr.text(), pin);
  assertStringIncludes(client.stderr.text(), other);
  assertEquals(server.stdout.text(), "");
});
