/** Writing in batches, to something that is slow or fails. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { BatchWriter } from "../../../lib/run/batch_writer.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";

Deno.test("BatchWriter writes everything in order, whatever sizes come and go", async () => {
  const random = seeded(3);
  const data = drawBytes(5_000_000, random);
  const written = new Uint8Array(data.length);
  let at = 0;
  let writes = 0;
  const writer = new BatchWriter(async (bytes) => {
    if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve));
    const n = Math.ceil(random() * bytes.length);
    written.set(bytes.subarray(0, n), at);
    at += n;
    writes++;
    return n;
  });
  let calls = 0;
  for (let taken = 0; taken < data.length; calls++) {
    const n = 1 + Math.floor(2 ** (random() * 21));
    await writer.write(data.subarray(taken, taken + n));
    taken = Math.min(data.length, taken + n);
    assert(writer.pending >= taken - at && writer.pending <= 2 << 20);
  }
  await writer.flush();
  assertEquals([at, writer.pending], [data.length, 0]);
  assert(written.every((byte, i) => byte === data[i]));
  assert(writes > 3, `${writes} writes for ${calls} calls`);
});

Deno.test("BatchWriter reports the failure of a write by all its ways", async () => {
  const error = new Error("disk full");
  const writer = new BatchWriter(() => Promise.reject(error));
  await writer.write(new Uint8Array(10));
  assertEquals(await writer.failed.catch((reason) => reason), error);
  await assertRejects(() => writer.write(new Uint8Array(10)), Error, "full");
  await assertRejects(() => writer.flush(), Error, "full");
});
