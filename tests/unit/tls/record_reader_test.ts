import { assertEquals, assertRejects } from "@std/assert";
import { RecordReader } from "../../../lib/tls/record_reader.ts";
import { randomBytes } from "../../helpers/bytes.ts";

const RECORD_BYTES = 16384;

/** A TLS stream that gives one record at each read. */
class Stream {
  reads = 0;
  readonly #next: (Uint8Array | null | Error)[] = [];
  #waiting: (() => void) | undefined;

  /** Lets a record, the end or an error come. */
  put(...next: (Uint8Array | null | Error)[]): void {
    this.#next.push(...next);
    this.#waiting?.();
  }

  async read(into: Uint8Array): Promise<number | null> {
    this.reads++;
    const came = Promise.withResolvers<void>();
    this.#waiting = came.resolve;
    if (this.#next.length === 0) await came.promise;
    const [next] = this.#next;
    if (next instanceof Error) throw next;
    if (next === null || next === undefined) return null;
    const part = next.subarray(0, into.length);
    into.set(part);
    if (part.length < next.length) this.#next[0] = next.subarray(part.length);
    else this.#next.shift();
    return part.length;
  }
}

function split(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from(
    { length: count },
    (_, index) => bytes.subarray(index * size, (index + 1) * size),
  );
}

Deno.test("RecordReader.read() takes all full records that are there and have room", async () => {
  const bytes = randomBytes(5 * RECORD_BYTES);
  const stream = new Stream();
  stream.put(...split(bytes, RECORD_BYTES));
  const reader = new RecordReader(stream);
  const into = new Uint8Array(4 * RECORD_BYTES);
  assertEquals(await reader.read(into), into.length);
  assertEquals(into, bytes.subarray(0, into.length));
  assertEquals(await reader.read(into), RECORD_BYTES);
  assertEquals(
    into.subarray(0, RECORD_BYTES),
    bytes.subarray(4 * RECORD_BYTES),
  );
});

Deno.test("RecordReader.read() holds back nothing that has come", async () => {
  const stream = new Stream();
  const reader = new RecordReader(stream);
  const into = new Uint8Array(65536);
  const small = randomBytes(100, 2);
  stream.put(small);
  assertEquals(await reader.read(into), 100);
  assertEquals(stream.reads, 1, "it looks for no more after a small one");
  const full = randomBytes(RECORD_BYTES, 3);
  stream.put(full);
  assertEquals(await reader.read(into), RECORD_BYTES);
  assertEquals(into.subarray(0, RECORD_BYTES), full);
  const next = reader.read(into);
  stream.put(small);
  assertEquals(await next, 100);
  assertEquals(into.subarray(0, 100), small);
});

Deno.test("RecordReader.read() leaves the room alone that it has given back", async () => {
  const stream = new Stream();
  const reader = new RecordReader(stream);
  const into = new Uint8Array(65536);
  stream.put(randomBytes(RECORD_BYTES));
  assertEquals(await reader.read(into), RECORD_BYTES);
  into.fill(0);
  stream.put(randomBytes(RECORD_BYTES, 2));
  const other = new Uint8Array(65536);
  assertEquals(await reader.read(other), RECORD_BYTES);
  assertEquals(into, new Uint8Array(65536));
});

Deno.test("RecordReader.read() gives what came before an end or an error first", async () => {
  for (const last of [null, new Deno.errors.UnexpectedEof("cut")]) {
    const stream = new Stream();
    stream.put(randomBytes(RECORD_BYTES), last);
    const reader = new RecordReader(stream);
    const into = new Uint8Array(65536);
    assertEquals(await reader.read(into), RECORD_BYTES);
    for (let again = 0; again < 2; again++) {
      if (last === null) assertEquals(await reader.read(into), null);
      else {
        await assertRejects(
          () => reader.read(into),
          Deno.errors.UnexpectedEof,
          "cut",
        );
      }
    }
  }
});

Deno.test("RecordReader.read() gives every byte once, whatever the sizes are", async () => {
  const sizes = randomBytes(400, 7);
  for (const memory of [ArrayBuffer, SharedArrayBuffer]) {
    const bytes = randomBytes(1_000_000, 5);
    const stream = new Stream();
    let sent = 0;
    let at = 0;
    const size = (most: number) => 1 + (sizes[at++ % 400] ?? 0) * most / 256;
    const arrived = new Uint8Array(bytes.length);
    const room = new Uint8Array(new memory(100_000));
    const reader = new RecordReader(stream);
    for (let filled = 0; filled < bytes.length;) {
      // Some come before the read, some while it waits.
      const reading = at % 3 === 0 ? undefined : size(100_000);
      const read = reading && reader.read(room.subarray(0, reading));
      for (let records = at % 5 + 1; records > 0; records--) {
        const record = Math.floor(at % 2 === 0 ? RECORD_BYTES : size(16384));
        if (sent < bytes.length) stream.put(bytes.slice(sent, sent + record));
        sent += record;
        at++;
      }
      const count = await (read || reader.read(room));
      if (typeof count !== "number") throw new Error(`It gave ${count}`);
      arrived.set(room.subarray(0, count), filled);
      filled += count;
    }
    assertEquals(arrived, bytes);
  }
});
