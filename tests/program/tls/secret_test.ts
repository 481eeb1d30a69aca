/** `--secret-file`: with whatever it goes, who has the secret gets everything through. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sourceCommand } from "../../../scripts/program.ts";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { say } from "../../helpers/conditions.ts";
import { Running } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { FailingLine } from "../../helpers/proxy.ts";
import { Secrets } from "../../helpers/secrets.ts";

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
    if (code === 0) {
      assertStringIncludes(checked.stdout.text(), "proven: ");
      assertEquals(checked.stderr.text(), "");
    }
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
  const { server, at } = await listener([...secret, "--broker", "-v"]);
  await using _server = server;
  const connect = [`--connect=${at.port}`, ...secret];
  await using probe = sockpipe([...connect, "--probe"]);
  assertEquals(await probe.code(), 0, probe.stderr.text());
  // A probe is no failure to the listener: TLS was ended.
  await server.said(/has ended|cut off/);
  assert(!server.stderr.text().includes("cut off"), server.stderr.text());
  await using one = sockpipe([...connect, "-v"], { stdin: "piped" });
  await using two = sockpipe([...connect, "-v"], { stdin: "piped" });
  await Promise.all([one, two].map((friend) => friend.said(/connected to/)));
  await server.stderr.match(/listening/);
  const heard = two.stdout.match(/psst/);
  const talking = setInterval(() => one.feed("psst\n").catch(() => {}), 50);
  await heard.finally(() => clearInterval(talking));
});
