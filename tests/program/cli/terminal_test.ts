/** A run whose stdin is a terminal. */

import { assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { reachedBy } from "../../helpers/program.ts";
import { receive, receiveText, send } from "../../helpers/tcp.ts";

testWith(
  ["script", "/proc"],
  "a session on a terminal ends when the peer ends",
  async () => {
    const { line: terminal, conn } = await reachedBy(
      'script -qec "sockpipe --connect $1" /dev/null',
    );
    await using _line = terminal;
    using _conn = conn;
    await terminal.feed("typed\n");
    assertEquals(await receiveText(conn, 6), "typed\n");
    await send(conn, "said\n");
    conn.closeWrite();
    assertEquals(await terminal.code(), 0);
    assertMatch(terminal.stdout.text(), /said\r\n$/);
    assertEquals((await receive(conn)).length, 0);
  },
);

testWith(
  ["script", "/proc"],
  "a session on a terminal goes on for the answer after Ctrl-D",
  async () => {
    const { line: terminal, conn } = await reachedBy(
      'script -qec "sockpipe --connect $1" /dev/null',
    );
    await using _line = terminal;
    using _conn = conn;
    await terminal.feed("typed\n");
    assertEquals(await receiveText(conn, 6), "typed\n");
    await terminal.feed("\x04");
    assertEquals((await receive(conn)).length, 0);
    await send(conn, "answer\n");
    conn.closeWrite();
    assertEquals(await terminal.code(), 0);
    assertMatch(terminal.stdout.text(), /answer\r\n/);
  },
);

testWith(
  ["script", "/proc"],
  "Ctrl-C on a terminal ends the session with 130",
  async () => {
    const { line: terminal, conn } = await reachedBy(
      'script -qec "sockpipe --connect $1" /dev/null',
    );
    await using _line = terminal;
    using _conn = conn;
    await terminal.feed("typed\n");
    await receive(conn, 6);
    await terminal.feed("\x03");
    assertEquals(await terminal.code(), 130);
    await receive(conn).catch(() => {});
  },
);
