/** Descriptors that other programs share. */

import { assertEquals } from "@std/assert";
import { shell } from "../../helpers/process.ts";
import { accept, rawListener, receiveText, send } from "../../helpers/tcp.ts";

Deno.test("stdin and stdout are left blocking for who shares them", async () => {
  using raw = rawListener();
  await using commands = shell(
    `sockpipe --connect "$1"; echo
    grep -h flags /proc/self/fdinfo/0 /proc/self/fdinfo/1`,
    [raw.port],
    { stdin: "shared" },
  );
  using conn = await accept(raw);
  await send(conn, "answer");
  conn.closeWrite();
  assertEquals(await receiveText(conn), "shared");
  const { stdout } = await commands.result();
  const flags = [...stdout.matchAll(/flags:\t(\d+)/g)].map(([, octal]) =>
    Number.parseInt(octal ?? "", 8)
  );
  // Bit 04000 is O_NONBLOCK (proc_pid_fdinfo(5)).
  assertEquals(flags.map((bits) => bits & 0o4000), [0, 0]);
});
