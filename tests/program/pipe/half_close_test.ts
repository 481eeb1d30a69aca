/** Ends of the two directions: what each side may still do when one has ended. */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { MiB, randomBytes, sha256 } from "../../helpers/bytes.ts";
import { within } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { shell } from "../../helpers/process.ts";
import { listener, reachedBy, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  dial,
  rawListener,
  receive,
  receiveText,
  send,
} from "../../helpers/tcp.ts";

Deno.test("the end of stdin closes only the sending side: an answer made after it arrives", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "three\nlines\nhere\n",
  });
  using conn = await accept(raw);
  const lines = (await receiveText(conn)).split("\n").length - 1;
  await send(conn, `${lines} lines\n`);
  conn.closeWrite();
  assertEquals(await client.result(), {
    code: 0,
    stdout: "3 lines\n",
    stderr: "",
  });
});

Deno.test("a listener's answer made after the end of the question arrives", async () => {
  using folder = new Folder();
  await using server = shell(
    // The answer is made by a command that waits for the end of the question.
    'mkfifo "$1"; wc -c <"$1" | sockpipe --listen 0 >"$1"',
    [`${folder.path}/fifo`],
  );
  const at = await server.listening();
  await using client = sockpipe(["--connect", at.address], {
    stdin: randomBytes(MiB),
  });
  const result = await client.result();
  assertEquals([result.code, result.stdout], [0, `${MiB}\n`]);
  assertEquals(await server.code(), 0);
});

Deno.test("an answer that comes two seconds after the end of stdin is received", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "a question",
  });
  using conn = await accept(raw);
  assertEquals(await receiveText(conn), "a question");
  await delay(2000);
  await send(conn, "a slow answer");
  conn.closeWrite();
  const { code, stdout } = await client.result();
  assertEquals([code, stdout], [0, "a slow answer"]);
});

Deno.test("the peer's end closes stdout at once, while stdin is still sent", async () => {
  const { line: client, conn } = await reachedBy(
    'sockpipe --connect "$1" | { cat; echo "reader ended" >&2; }',
  );
  await using _line = client;
  using _conn = conn;
  await send(conn, "all there is");
  conn.closeWrite();
  await client.said(/reader ended/);
  assertEquals(client.stdout.text(), "all there is");
  await client.feed("still sending");
  assertEquals(await receiveText(conn, 13), "still sending");
  await client.endStdin();
  assertEquals((await receive(conn)).length, 0);
  assertEquals(await client.code(), 0);
});

Deno.test("tar behind a listener finishes while the listener's stdin is still open", async () => {
  using folder = new Folder();
  await Deno.writeFile(`${folder.path}/file`, randomBytes(3 * MiB));
  await using server = shell(
    'sockpipe --listen 0 | { tar x -C "$1" --transform s/file/copy/; echo "tar ended" >&2; }',
    [folder.path],
    { stdin: "piped" },
  );
  const at = await server.listening();
  await using client = shell(
    'tar c -C "$1" file | sockpipe --connect "$2"; echo "${PIPESTATUS[*]}"',
    [folder.path, at.address],
  );
  await server.said(/tar ended/);
  assertEquals(
    await sha256(await Deno.readFile(`${folder.path}/copy`)),
    await sha256(randomBytes(3 * MiB)),
  );
  await server.endStdin();
  assertEquals(await server.code(), 0);
  assertEquals((await client.result()).stdout, "0 0\n");
});

Deno.test("all 64 MiB arrive at a peer that ended its own side at once", async () => {
  using raw = rawListener();
  const data = randomBytes(64 * MiB, 2);
  await using client = sockpipe(["--connect", `${raw.port}`], { stdin: data });
  using conn = await accept(raw);
  conn.closeWrite();
  const received = await receive(conn);
  assertEquals(await client.code(), 0);
  assertEquals(await sha256(received), await sha256(data));
});

Deno.test("all 64 MiB arrive from a client at a listener whose stdin is at its end", async () => {
  const { server, at } = await listener();
  await using _server = server;
  const data = randomBytes(64 * MiB, 3);
  await using client = sockpipe(["--connect", at.address], { stdin: data });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
});

for (const sendOnly of [true, false]) {
  const mode = sendOnly ? " with --send-only" : "";
  Deno.test(`what the peer sends unasked never cuts off what we send${mode}`, async () => {
    using raw = rawListener();
    const ours = randomBytes(4 * MiB, 4);
    const theirs = randomBytes(4 * MiB, 5);
    await using client = sockpipe(
      ["--connect", `${raw.port}`, ...(sendOnly ? ["--send-only"] : [])],
      { stdin: ours },
    );
    using conn = await accept(raw);
    const [received] = await Promise.all([
      receive(conn),
      send(conn, theirs).then(() => conn.closeWrite()),
    ]);
    assertEquals(await client.code(), 0);
    assertEquals(await sha256(received), await sha256(ours));
    assertEquals(client.stdout.length, sendOnly ? 0 : theirs.length);
  });
}

Deno.test("--send-only waits for the peer's end, and drains what comes after our own", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`, "--send-only"], {
    stdin: "one way",
  });
  using conn = await accept(raw);
  assertEquals(await receiveText(conn), "one way");
  await send(conn, randomBytes(8 * MiB));
  conn.closeWrite();
  assertEquals(await client.result(), { code: 0, stdout: "", stderr: "" });
});

Deno.test("--receive-only keeps its sending side open until the peer has ended, and leaves stdin alone", async () => {
  using raw = rawListener();
  await using client = shell(
    'sockpipe --connect "$1" --receive-only; echo " $?"; cat',
    [raw.port],
    { stdin: "for the next command" },
  );
  using conn = await accept(raw);
  await send(conn, "data");
  let ended = false;
  const end = receive(conn).then((bytes) => {
    ended = true;
    return bytes.length;
  });
  await client.stdout.atLeast(4);
  await delay(300);
  assert(!ended);
  conn.closeWrite();
  assertEquals(await end, 0);
  const { stdout } = await client.result();
  assertEquals(stdout, "data 0\nfor the next command");
});

Deno.test("`| head -c 10` with stdin open closes the connection at once", async () => {
  const { line: client, conn } = await reachedBy(
    'sockpipe --connect "$1" | head -c 10; echo " ${PIPESTATUS[*]}"',
  );
  await using _line = client;
  using _conn = conn;
  await send(conn, "0123456789");
  await client.stdout.atLeast(10);
  // The next byte finds nobody to take it, and that ends everything.
  const closed = (async () => {
    for (;;) {
      await send(conn, "more");
      await delay(20);
    }
  })().catch(() => {});
  assertEquals((await client.result()).stdout, "0123456789 141 0\n");
  await closed;
});

Deno.test("the listener stops listening as soon as its peer has come: a second one is refused", async () => {
  const { server, at } = await listener([], { stdin: "piped" });
  await using _server = server;
  using conn = await dial(at.port);
  await send(conn, "first");
  await server.stdout.atLeast(5);
  const second = await Deno.connect({ port: at.port }).then(
    (conn) => conn.close(),
    (error) => error,
  );
  assert(second instanceof Deno.errors.ConnectionRefused, `${second}`);
  await server.endStdin();
  conn.closeWrite();
  assertEquals([await server.code(), await receiveText(conn)], [0, ""]);
  assertEquals(server.stdout.text(), "first");
});

Deno.test("a peer that ends both ways in one go ends the run at once", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "question",
  });
  const conn = await accept(raw);
  assertEquals(await receiveText(conn), "question");
  await send(conn, "answer");
  conn.close();
  assertEquals(await within(client.result(), "the end"), {
    code: 0,
    stdout: "answer",
    stderr: "",
  });
});

for (const option of ["", "--limit-rate 1G"]) {
  Deno.test(`a reader of stdout that leaves with the last byte is no failure ${option}`, async () => {
    using raw = rawListener();
    await using client = shell(
      `sockpipe --connect $1 ${option} < /dev/null | { head -c 3; echo left >&2; }; echo " \${PIPESTATUS[0]}"`,
      [raw.port],
    );
    using conn = await accept(raw);
    await send(conn, "all");
    await client.said(/left/);
    await conn.closeWrite();
    assertEquals((await client.result()).stdout, "all 0\n");
  });

  Deno.test(`a reader of stdout that leaves before the last byte is one ${option}`, async () => {
    using raw = rawListener();
    await using client = shell(
      `sockpipe --connect $1 ${option} < /dev/null | { head -c 3; echo left >&2; }; echo " \${PIPESTATUS[0]}"`,
      [raw.port],
    );
    using conn = await accept(raw);
    await send(conn, "all");
    await client.said(/left/);
    await send(conn, "more");
    assertEquals((await client.result()).stdout, "all 141\n");
  });
}
