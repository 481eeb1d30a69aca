import { assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import { openOutput } from "../../../lib/run/output_file.ts";
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
    report: new Reporter("quiet", () => {}),
    signal: AbortSignal.abort(reason),
  };
  const settings = {
    path,
    overwrite: false,
    resume: true,
    size: undefined,
    again: undefined,
  };
  const error = await assertRejects(() => openOutput(settings, context));
  assertEquals(error, reason);
  assertEquals(folder.names(), ["file.part"]);
});
