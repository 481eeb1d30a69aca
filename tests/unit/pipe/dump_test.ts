/** Unit tests of the record of both directions. */

import { assertEquals, assertMatch } from "@std/assert";
import { dumpLines, openDump } from "../../../lib/pipe/dump.ts";
import { Folder } from "../../helpers/folder.ts";
import { MemoryEnd } from "../../helpers/memory_end.ts";

Deno.test("dumpLines() writes hex and text, 16 bytes a line, at their place", () => {
  const bytes = new TextEncoder().encode("bonjour\r\n\0é, 17+2");
  assertEquals(
    new TextDecoder().decode(dumpLines(">", bytes, 0x1ff0)),
    "> 00001ff0  62 6f 6e 6a 6f 75 72 0d  0a 00 c3 a9 2c 20 31 37  |bonjour.....,_17|\n"
      .replace("_", " ") +
      "> 00002000  2b 32                                             |+2|\n",
  );
});

Deno.test("dumpLines() has room for offsets beyond 4 GiB, and for a number", () => {
  const lines = dumpLines("< #12", Uint8Array.of(0x7e, 0x7f), 2 ** 36);
  assertEquals(
    new TextDecoder().decode(lines),
    `< #12 1000000000  7e 7f${" ".repeat(44)} |~.|\n`,
  );
});

Deno.test("a record counts one byte as one, and a peer's name forges no line in it", async () => {
  using folder = new Folder();
  const path = `${folder.path}/record`;
  const end = new MemoryEnd();
  end.say("x");
  end.finish();
  {
    using dump = openDump(path, { isNumbered: true });
    const { source } = dump.record(end, "unix:/tmp/a\nb");
    while (await source.read() !== null);
  }
  const [connected, received, , ended] = (await Deno.readTextFile(path)).split(
    "\n",
  );
  assertMatch(connected ?? "", /connected to unix:\/tmp\/a\\u000ab$/);
  assertMatch(received ?? "", /received 1 byte from byte 0$/);
  assertMatch(ended ?? "", /ended after 1 byte$/);
});
