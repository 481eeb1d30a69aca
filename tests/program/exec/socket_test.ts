/** `--exec-socket`: one socket as stdin and stdout of a process. */

import { assertEquals, assertMatch } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { exchange } from "../../helpers/echo.ts";
import { answerOf, canGiveSocket } from "../../helpers/exec.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

/** A test of --exec-socket, where there is such a thing. */
function testWithSocket(
  programs: readonly string[],
  name: string,
  fn: () => Promise<void>,
): void {
  testWith(programs, name, async () => {
    if (await canGiveSocket()) await fn();
  });
}

testWithSocket(
  ["/proc"],
  "--exec-socket: stdin and stdout are one socket, whose ends are passed on",
  async () => {
    const { answer, code } = await answerOf(
      "readlink /proc/self/fd/0; readlink /proc/self/fd/1; cat",
      ["--exec-socket"],
    );
    const [stdin, stdout, rest] = answer.split("\n");
    assertMatch(stdin ?? "", /^socket:/);
    assertEquals([stdout, rest, code], [stdin, "", 0]);
  },
);

testWithSocket(
  [],
  "--exec-socket: all output of a process that has not read everything",
  async () => {
    const { server, at } = await listener(
      ["--exec", "head -c 3000000 /dev/zero", "--exec-socket"],
    );
    await using _ = server;
    const received = await exchange(at.port, randomBytes(5_000_000, 43));
    assertEquals(received.length, 3_000_000);
    assertEquals(await server.code(), 0);
  },
);

testWithSocket(
  [],
  "--exec-socket: sockpipe itself, as inetd would start it",
  async () => {
    await using inner = sockpipe(["--listen", "0", "--exec", "wc -c"]);
    const { port } = await inner.listening();
    const { server, at } = await listener([
      "--exec",
      `sockpipe --connect ${port}`,
      "--exec-socket",
    ]);
    await using _ = server;
    // The answer's end reaches the client, though stdin is the same socket.
    const answer = await exchange(at.port, randomBytes(1_000_000, 44));
    assertEquals(new TextDecoder().decode(answer).trim(), "1000000");
    assertEquals([await inner.code(), await server.code()], [0, 0]);
  },
);
