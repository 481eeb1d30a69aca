/** `--message`, and `--data-size`. */

import { assertEquals } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, rawListener, receiveText, send } from "../../helpers/tcp.ts";

Deno.test("--message arrives as UTF-8, ends the sending side, and leaves stdin alone", async () => {
  using raw = rawListener();
  await using client = shell(
    'sockpipe --connect "$1" --message "bonjour à toi ☎"; echo " $?"; cat',
    [raw.port],
    { stdin: "for the next command" },
  );
  using conn = await accept(raw);
  assertEquals(await receiveText(conn), "bonjour à toi ☎");
  await send(conn, "salut");
  conn.closeWrite();
  assertEquals(
    (await client.result()).stdout,
    "salut 0\nfor the next command",
  );
});

for (const text of ["0123", "1e3", "true", "  ", "-x", "--", "a=b", "a\nb\n"]) {
  Deno.test(`--message takes ${JSON.stringify(text)} as it stands`, async () => {
    using raw = rawListener();
    await using client = sockpipe(
      ["--connect", `${raw.port}`, `--message=${text}`],
    );
    using conn = await accept(raw);
    assertEquals(await receiveText(conn), text);
    conn.closeWrite();
    assertEquals(await client.code(), 0);
  });
}

Deno.test("--message larger than DATA_SIZE arrives whole", async () => {
  const { server, at } = await listener(["--data-size", "7"]);
  await using _server = server;
  const text = "un message plus long que DATA_SIZE: é è à ".repeat(100);
  await using client = sockpipe(
    ["--connect", at.address, "--data-size", "7", "--message", text],
  );
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), text);
});

for (const size of ["1", "16M"]) {
  Deno.test(`--data-size ${size} moves everything both ways`, async () => {
    const args = ["--data-size", size];
    const { server, at } = await listener(args, {
      stdin: randomBytes(20_000, 11),
    });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address, ...args], {
      stdin: randomBytes(20_000, 12),
    });
    assertEquals([await client.code(), await server.code()], [0, 0]);
    assertEquals(client.stdout.bytes(), randomBytes(20_000, 11));
    assertEquals(server.stdout.bytes(), randomBytes(20_000, 12));
  });
}
