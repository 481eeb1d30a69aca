import { assert, assertEquals } from "@std/assert";
import { Descriptor } from "../../../lib/io/descriptor.ts";
import { Flow, type FlowEnd, type FlowOptions } from "../../../lib/io/flow.ts";
import { cString, O_RDONLY } from "../../../lib/base/libc.ts";
import { findSockets } from "../../../lib/net/socket_descriptors.ts";
import { c, Pipe, unixTest } from "../../helpers/descriptors.ts";
import { until } from "../../helpers/deadlines.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { Folder } from "../../helpers/folder.ts";
import { tcpPair } from "../../helpers/tcp.ts";

class Failed extends Error {}

const MUCH_BYTES = 40 * 60_000;

/** A flow from one pipe to another, and what it has counted. */
class Rig implements Disposable {
  readonly source = new Pipe();
  readonly target = new Pipe();
  readonly flow: Flow;
  read = 0;
  written = 0;
  readonly #ports = new DisposableStack();

  constructor(options: Partial<FlowOptions> = {}) {
    const from = this.#port(this.source.reader, "read");
    const to = this.#port(this.target.writer, "write");
    this.flow = new Flow(c(), {
      from,
      to,
      dataSize: 65536,
      splices: false,
      onRead: (bytes) => this.read += bytes,
      onWritten: (bytes) => this.written += bytes,
      ...options,
    });
  }

  /** Takes all that has arrived. */
  arrived(): Uint8Array {
    const room = new Uint8Array(1024 * 1024);
    using reader = Descriptor.ofGiven(c(), this.target.reader, "read");
    const count = reader?.read(room) ?? 0;
    return room.subarray(0, Math.max(count, 0));
  }

  /** Moves MUCH_BYTES, so that the flow is in bulk. */
  moveMuch(): void {
    const piece = new Uint8Array(60_000);
    for (let left = MUCH_BYTES; left > 0; left -= piece.length) {
      this.source.write(piece);
      this.flow.step();
      this.arrived();
      this.arrived();
    }
  }

  #port(fd: number, direction: "read" | "write"): FlowEnd {
    const descriptor = Descriptor.ofGiven(c(), fd, direction);
    if (descriptor === undefined) throw new Error("no descriptor");
    this.#ports.use(descriptor);
    return { descriptor, failed: (cause) => new Failed(direction, { cause }) };
  }

  [Symbol.dispose](): void {
    this.#ports.dispose();
    this.source[Symbol.dispose]();
    this.target[Symbol.dispose]();
  }
}

unixTest(
  "a flow moves what is there, waits for more, and ends with its source",
  async () => {
    using rig = new Rig();
    rig.flow.step();
    assertEquals([rig.flow.waitsFor, rig.flow.ended], ["from", false]);
    const data = randomBytes(5000, 1);
    rig.source.write(data);
    rig.flow.step();
    assertEquals(rig.arrived(), data);
    assertEquals([rig.flow.waitsFor, rig.read, rig.written], [
      "from",
      5000,
      5000,
    ]);
    rig.source.close(rig.source.writer);
    await untilEnded(rig.flow);
  },
);

/** A program that another test starts has all pipes open for a moment. */
function untilEnded(flow: Flow): Promise<true> {
  return until(() => {
    flow.step();
    return flow.ended || undefined;
  }, "the end of the flow");
}

for (const splices of [false, true]) {
  unixTest(`a flow that is stalled loses nothing, splices: ${splices}`, () => {
    using rig = new Rig({ splices });
    const sent: Uint8Array[] = [];
    const arrived: Uint8Array[] = [];
    for (let i = 0; i < 60; i++) {
      const data = randomBytes(50_000, i + 1);
      rig.source.write(data);
      sent.push(data);
      rig.flow.step();
      // The first bytes wait for their reader, all others go on at once.
      if (i === 0) rig.flow.step();
      const count = i % 3 === 2 ? 10 : 1;
      for (let k = 0; k < count; k++) {
        arrived.push(rig.arrived());
        rig.flow.step();
      }
    }
    for (let k = 0; k < 10; k++) {
      arrived.push(rig.arrived());
      rig.flow.step();
    }
    assertEquals(joined(arrived), joined(sent));
    assertEquals(rig.written, 60 * 50_000);
  });
}

unixTest(
  "a flow says that it waits for its target, and for nothing else",
  () => {
    using rig = new Rig();
    rig.source.write(new Uint8Array(65536));
    rig.flow.step();
    rig.source.write(new Uint8Array(10));
    rig.flow.step();
    assertEquals(rig.flow.waitsFor, "to");
    rig.arrived();
    rig.flow.step();
    assertEquals(rig.flow.waitsFor, "from");
  },
);

unixTest(
  "first bytes go before all others, and without a source they are all",
  () => {
    using rig = new Rig({
      from: undefined,
      first: new TextEncoder().encode("all"),
    });
    rig.flow.step();
    assert(rig.flow.ended);
    assertEquals(new TextDecoder().decode(rig.arrived()), "all");
  },
);

unixTest("without a target, bytes are counted and dropped", async () => {
  using rig = new Rig({ to: undefined });
  rig.source.write(new Uint8Array(40_000));
  rig.source.close(rig.source.writer);
  await untilEnded(rig.flow);
  assertEquals([rig.read, rig.written, rig.flow.ended], [40_000, 0, true]);
});

unixTest(
  "a target that fails is named, also once bytes are spliced",
  async () => {
    for (const splices of [false, true]) {
      using rig = new Rig({ splices });
      rig.moveMuch();
      rig.target.close(rig.target.reader);
      const failure = await until(() => {
        rig.source.write(new Uint8Array(10));
        try {
          rig.flow.step();
        } catch (error) {
          return error;
        }
      }, "the failure");
      assert(failure instanceof Failed);
      assertEquals(failure.message, "write");
    }
  },
);

unixTest(
  "a reader that leaves with the last byte is no failure, also once bytes are spliced",
  async () => {
    for (const splices of [false, true]) {
      using rig = new Rig({ splices });
      rig.moveMuch();
      rig.target.close(rig.target.reader);
      rig.source.close(rig.source.writer);
      await untilEnded(rig.flow);
      assertEquals(rig.written, MUCH_BYTES);
    }
  },
);

unixTest("a file goes to a socket as it is, in bulk, too", async () => {
  const data = randomBytes(5_000_000);
  using folder = new Folder();
  const path = `${folder.path}/data`;
  await Deno.writeFile(path, data);
  const number = c().open(cString(path), O_RDONLY);
  const [peer, conn] = await tcpPair();
  using _peer = peer;
  using _conn = conn;
  const socket = findSockets([conn]).get(conn);
  assert(socket !== undefined);
  using from = Descriptor.ofGiven(c(), number, "read");
  assert(from !== undefined);
  const failed = (cause: unknown) => new Failed("a side", { cause });
  const flow = new Flow(c(), {
    from: { descriptor: from, failed },
    to: { descriptor: Descriptor.ofSocket(c(), socket.fd), failed },
    dataSize: 65536,
    splices: true,
  });
  const room = new Uint8Array(data.length);
  let count = 0;
  while (!flow.ended || count < data.length) {
    flow.step();
    count += await peer.read(room.subarray(count)) ?? 0;
  }
  assertEquals(room, data);
  c().close(number);
  socket.forget();
});

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
