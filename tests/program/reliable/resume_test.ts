/** `--resume`: a transfer that goes on after a crash of either side. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { MiB } from "../../helpers/bytes.ts";
import { keys } from "../../helpers/certificates.ts";
import { say, SOAK } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { seeded } from "../../helpers/seeded.ts";
import { Transfer, type TransferOptions } from "../../helpers/transfer.ts";

const RESUME = ["--reliable", "--resume"];
const KILLS = SOAK ? 200 : 20;

Deno.test(`--resume: a file is right after ${KILLS} kills of either side at random points`, async () => {
  using transfer = new Transfer(SOAK ? 1024 * MiB : 48 * MiB);
  const random = seeded(1);
  const total = transfer.data.length;
  let kills = 0;
  for (; kills < KILLS; kills++) {
    const { receiver, sender } = await transfer.start();
    await using _receiver = receiver;
    await using _sender = sender;
    // The last kill is well before the last byte.
    const at = Math.floor(0.9 * total * (kills + random()) / KILLS);
    await transfer.hasCome(at, { receiver, sender });
    const [victim, other] = random() < 0.5
      ? [receiver, sender]
      : [sender, receiver];
    victim.kill("SIGKILL");
    if (random() < 0.3) other.kill("SIGKILL");
    assert(await other.code() !== 0);
    await victim.code();
    if (random() < 0.3) loseTheEnd(transfer.part, random);
  }
  const { receiver, sender } = await transfer.start();
  await using _receiver = receiver;
  await using _sender = sender;
  assertEquals([await receiver.code(), await sender.code()], [0, 0]);
  await transfer.assertArrived();
  if (SOAK) say(`${kills} kills in ${total} bytes`);
});

/** What a power failure does: the end was not yet on the disk, or is zeros. */
function loseTheEnd(path: string, random: () => number): void {
  const { size } = Deno.statSync(path);
  const from = Math.max(0, size - Math.floor(random() * MiB));
  using file = Deno.openSync(path, { write: true });
  file.truncateSync(from);
  if (random() < 0.5) file.truncateSync(size);
}

Deno.test("--resume: only what is missing goes over the line, and both sides say so", async () => {
  using transfer = new Transfer(10 * MiB);
  await Deno.writeFile(transfer.part, transfer.data.subarray(0, 9 * MiB), {
    mode: 0o600,
  });
  const { receiver, sender } = await transfer.start();
  await using _receiver = receiver;
  await using _sender = sender;
  assertEquals([await receiver.code(), await sender.code()], [0, 0]);
  await transfer.assertArrived();
  for (const { stderr } of [receiver, sender]) {
    assertMatch(stderr.text(), /going on after the 9437184 bytes/);
  }
});

for (const producer of ["a file", "a pipe"]) {
  Deno.test(`--resume: what is there and wrong is sent again, from ${producer}`, async () => {
    using transfer = new Transfer(10 * MiB);
    const held = transfer.data.slice(0, 9 * MiB);
    held[5 * MiB] = (held[5 * MiB] ?? 0) ^ 1;
    await Deno.writeFile(transfer.part, held, { mode: 0o600 });
    const output = ["--receive-only", "--output", transfer.target];
    const { server, at } = await listener([...RESUME, ...output]);
    await using _server = server;
    const cat = producer === "a pipe" ? `cat "$1" | ` : "";
    await using sender = shell(
      `${cat}sockpipe --connect "$2" ${RESUME.join(" ")} --send-only ${
        cat === "" ? '< "$1"' : ""
      }`,
      [transfer.source, at.address],
    );
    assertEquals([await server.code(), await sender.code()], [0, 0]);
    await transfer.assertArrived();
    assertMatch(server.stderr.text(), /the first 4194304 are right/);
  });
}

/** Ways of a transfer, and what they take; to be closed. */
const WAYS: Record<string, () => Promise<TransferOptions & AsyncDisposable>> = {
  "TLS": async () => {
    const files = await keys(["server"]);
    const server = `${files.path}/server`;
    return {
      receiver: [
        "--tls",
        "--tls-cert",
        `${server}.crt`,
        "--tls-key",
        `${server}.key`,
      ],
      sender: ["--tls", "--tls-ca", `${server}.crt`],
      [Symbol.asyncDispose]: () => Promise.resolve(files[Symbol.dispose]()),
    };
  },
  "a secret": async () => {
    const folder = new Folder();
    const path = `${folder.path}/secret`;
    await using maker = sockpipe(["--new-secret", path]);
    assertEquals(await maker.code(), 0);
    const both = ["--secret-file", path];
    return {
      receiver: both,
      sender: both,
      [Symbol.asyncDispose]: () => Promise.resolve(folder[Symbol.dispose]()),
    };
  },
  "a unix socket": () => {
    const folder = new Folder();
    return Promise.resolve({
      address: `unix:${folder.path}/socket`,
      [Symbol.asyncDispose]: () => Promise.resolve(folder[Symbol.dispose]()),
    });
  },
};

for (const [name, open] of Object.entries(WAYS)) {
  Deno.test(`--resume over ${name}: each side is killed once, and the file is right`, async () => {
    await using transport = await open();
    using transfer = new Transfer(16 * MiB, transport);
    for (const victim of ["receiver", "sender"] as const) {
      const at = victim === "receiver" ? 5 * MiB : 10 * MiB;
      const sides = await transfer.start();
      await using _receiver = sides.receiver;
      await using _sender = sides.sender;
      await transfer.hasCome(at, sides);
      sides[victim].kill("SIGKILL");
      assert(await sides.receiver.code() !== 0);
      assert(await sides.sender.code() !== 0);
    }
    const { receiver, sender } = await transfer.start();
    await using _receiver = receiver;
    await using _sender = sender;
    assertEquals([await receiver.code(), await sender.code()], [0, 0]);
    assertMatch(receiver.stderr.text(), /going on after the \d{8} bytes/);
    await transfer.assertArrived();
  });
}

Deno.test("--progress at the receiver knows the size that the sender tells", async () => {
  using transfer = new Transfer(MiB, { receiver: ["--progress"] });
  const { receiver, sender } = await transfer.start();
  await using _receiver = receiver;
  await using _sender = sender;
  assertEquals([await receiver.code(), await sender.code()], [0, 0]);
  assertMatch(receiver.stderr.text(), /received 1048576 bytes.*; 100%\n/);
});

Deno.test("--resume: a FILE that is complete is compared, and nothing is sent", async () => {
  using transfer = new Transfer(5 * MiB);
  await Deno.writeFile(transfer.target, transfer.data);
  const { receiver, sender } = await transfer.start();
  await using _receiver = receiver;
  await using _sender = sender;
  assertEquals([await receiver.code(), await sender.code()], [0, 0]);
  await transfer.assertArrived();
});

Deno.test("--resume: a FILE that is something else is refused, and stays", async () => {
  using transfer = new Transfer(5 * MiB);
  await Deno.writeTextFile(transfer.target, "something else");
  const { receiver, sender } = await transfer.start();
  await using _receiver = receiver;
  await using _sender = sender;
  assertEquals([await receiver.code(), await sender.code()], [8, 1]);
  for (const { stderr } of [receiver, sender]) {
    assertMatch(stderr.text(), /it exists, and is not what the peer sends/);
  }
  // The paths of one side are not the other's business.
  assert(!sender.stderr.text().includes(transfer.target));
  assertEquals(await Deno.readTextFile(transfer.target), "something else");
});

Deno.test("--resume on one side only: 6, and the sentence that helps", async () => {
  for (const resumes of ["listen", "connect"]) {
    const of = (side: string) => side === resumes ? ["--resume"] : [];
    const { server, at } = await listener(["--reliable", ...of("listen")]);
    await using _server = server;
    const args = ["--connect", at.address, "--reliable", ...of("connect")];
    await using client = sockpipe(args);
    assertEquals(await client.code(), 6);
    assertMatch(client.stderr.text(), /--resume.*; give it to both sides/);
  }
});

Deno.test("--receipt: what cannot or must not be written is said at once", async () => {
  using folder = new Folder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/there`, "old");
  await Deno.mkdir(`${path}/folder`);
  const cases: [string, string[], RegExp][] = [
    ["there", [], /there": it exists; give --overwrite to replace it/],
    ["folder", ["--overwrite"], /folder": it is a directory/],
    ["none/file", [], /none\/file": no such file or directory/],
  ];
  for (const [name, more, pattern] of cases) {
    await using server = sockpipe([
      ...["--listen", "0", "--reliable", "--receipt", `${path}/${name}`],
      ...more,
    ]);
    const { code, stderr } = await server.result();
    assertEquals(code, 8, name);
    assertMatch(stderr, pattern);
    assert(!stderr.includes("listening"));
  }
  assertEquals(folder.names().toSorted(), ["folder", "there"]);
});

for (const replacing of ["--overwrite", "--resume"]) {
  Deno.test(`--receipt with ${replacing}: an old one is replaced at the end`, async () => {
    using folder = new Folder();
    const path = `${folder.path}/receipt`;
    await Deno.writeTextFile(path, "old");
    const args = ["--reliable", "--message", "hi"];
    const resume = replacing === "--resume" ? [replacing] : [];
    const { server, at } = await listener([
      ...["--receipt", path, replacing],
      ...args,
    ]);
    await using _server = server;
    assertEquals(await Deno.readTextFile(path), "old");
    await using client = sockpipe([
      "--connect",
      at.address,
      ...args,
      ...resume,
    ]);
    assertEquals([await client.code(), await server.code()], [0, 0]);
    assertEquals(JSON.parse(await Deno.readTextFile(path)).sent.bytes, 2);
    assertEquals(folder.names(), ["receipt"]);
  });
}

Deno.test("--receipt: both sides have one, and the secret proves them", async () => {
  using folder = new Folder();
  const { path } = folder;
  await using maker = sockpipe(["--new-secret", `${path}/secret`]);
  assertEquals(await maker.code(), 0);
  const secret = ["--secret-file", `${path}/secret`];
  const { server, at } = await listener([
    ...["--reliable", "--receive-only", "--receipt", `${path}/there`],
    ...secret,
  ]);
  await using _server = server;
  await using client = sockpipe([
    ...["--connect", at.address, "--reliable", "--message", "hello"],
    ...["--receipt", `${path}/here`, ...secret],
  ]);
  assertEquals([await client.code(), await server.code()], [0, 0]);
  const receipts = await Promise.all(
    ["here", "there"].map(async (name) =>
      JSON.parse(await Deno.readTextFile(`${path}/${name}`))
    ),
  );
  const [here, there] = receipts;
  assertEquals(here.session, there.session);
  assertEquals([here.sent, here.received], [there.received, there.sent]);
  await using check = sockpipe(["--check-receipt", `${path}/here`, ...secret]);
  assertEquals(await check.code(), 0);
  assertMatch(
    check.stdout.text(),
    /^proven: .*\nsent 5 bytes, sha256 2cf24dba/,
  );
  const text = await Deno.readTextFile(`${path}/here`);
  await Deno.writeTextFile(
    `${path}/here`,
    text.replace('"bytes": 5', '"bytes": 6'),
  );
  await using changed = sockpipe([
    "--check-receipt",
    `${path}/here`,
    ...secret,
  ]);
  assertEquals(await changed.code(), 7);
  assertMatch(
    changed.stderr.text(),
    /its proof does not match; it was changed/,
  );
});
