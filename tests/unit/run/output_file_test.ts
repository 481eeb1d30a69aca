import { assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import { openOutput } from "../../../lib/run/output_file.ts";
import { openDescriptor, setRoomAside } from "../../../lib/run/part_file.ts";
import type { OutputSettings } from "../../../lib/cli/options.ts";
import { MiB } from "../../helpers/bytes.ts";
import { Reporter } from "../../../lib/report/reporter.ts";
import { Folder } from "../../helpers/folder.ts";

// Opened for all tests of this process; it is never closed.
libc();

Deno.test("openOutput() ends with its signal while it hashes what is there", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeFile(`${path}.part`, new Uint8Array(100));
  const reason = new Error("stopped");
  const context = {
    hashes: true,
    report: new Reporter("quiet", () => {}),
    signal: AbortSignal.abort(reason),
  };
  const error = await assertRejects(() => openOutput(resuming(path), context));
  assertEquals(error, reason);
  assertEquals(folder.names(), ["file.part"]);
});

Deno.test("openOutput() gives back the room that a run which was killed had set aside", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeFile(`${path}.part`, new Uint8Array(100_000));
  const blocks = () => Deno.statSync(`${path}.part`).blocks ?? 0;
  const c = libc();
  using file = await Deno.open(`${path}.part`, { read: true, write: true });
  await file.sync();
  const before = blocks();
  const fd = c && await openDescriptor(c, `${path}.part`, file);
  if (c !== undefined && fd !== undefined) {
    await setRoomAside(c, fd, 64 * MiB);
    c.close(fd);
  }
  const { signal } = new AbortController();
  const report = new Reporter("quiet", () => {});
  using output = await openOutput(resuming(path), {
    report,
    signal,
    hashes: true,
  });
  assertEquals(output.size, 100_000);
  assertEquals(blocks(), before);
});

function resuming(path: string): OutputSettings {
  return {
    path,
    overwrite: false,
    resume: true,
    size: undefined,
    again: undefined,
  };
}
