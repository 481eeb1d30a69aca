import { assert, assertEquals } from "@std/assert";
import {
  fileIdentity,
  fileOffset,
  openDescriptors,
} from "../../../lib/base/descriptors.ts";
import { c, macLike, Pipe, unixTest } from "../../helpers/descriptors.ts";

unixTest(
  "openDescriptors() lists what is open, and nothing that was closed",
  () => {
    using pipe = new Pipe();
    const open = new Set(openDescriptors(c()));
    assert(open.has(pipe.reader) && open.has(pipe.writer));
    pipe.close(pipe.reader);
    assert(!new Set(openDescriptors(c())).has(pipe.reader));
  },
);

unixTest("openDescriptors() lists the same with the poll(2) of macOS", () => {
  using pipe = new Pipe();
  const descriptors = openDescriptors(macLike());
  const found = new Set<number>();
  for (const fd of descriptors) {
    found.add(fd);
    assert(found.size < 10_000, "It finds descriptors without an end");
  }
  assert(found.has(pipe.reader) && found.has(pipe.writer));
});

unixTest(
  "openDescriptors() ends where poll(2) takes only a few at once",
  () => {
    let calls = 0;
    const limited = {
      // As with RLIMIT_NOFILE of 64: more than that is EINVAL (poll(2)).
      poll: (
        slots: AllowSharedBufferSource | null,
        count: bigint,
        ms: number,
      ) => {
        if (++calls > 100) throw new Error("It asks without an end");
        return count > 64n ? -1 : c().poll(slots, count, ms);
      },
    };
    using pipe = new Pipe();
    // Modules are tested side by side in one process: others come and go.
    assert([...openDescriptors(limited)].includes(pipe.reader));
  },
);

unixTest(
  "fileIdentity() tells files apart; fileOffset() how much was read",
  async () => {
    using pipe = new Pipe();
    using other = new Pipe();
    assertEquals(
      fileIdentity(c(), pipe.reader),
      fileIdentity(c(), pipe.writer),
    );
    assert(fileIdentity(c(), pipe.reader) !== fileIdentity(c(), other.reader));
    assertEquals(fileIdentity(c(), 100_000), undefined);
    assertEquals(fileOffset(c(), pipe.reader), undefined);
    using file = await Deno.open("/etc/passwd");
    await file.read(new Uint8Array(7));
    assert([...openDescriptors(c())].some((fd) => fileOffset(c(), fd) === 7));
  },
);
