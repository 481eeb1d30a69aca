/** Somebody on the way who turns over bits: both sides of a secret, in this process. */

import { assert } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import type { Listener } from "../../../lib/net/listener.ts";
import type { Socket } from "../../../lib/net/socket.ts";
import { prepareClient } from "../../../lib/tls/client.ts";
import { TlsListener } from "../../../lib/tls/listener.ts";
import { createSecretFile } from "../../../lib/tls/secret_file.ts";
import { prepareServer } from "../../../lib/tls/server.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { Folder } from "../../helpers/folder.ts";
import { dial, rawListener, send } from "../../helpers/tcp.ts";

// What it opens stays open.
libc();

const ROUNDS = 60;
const DATA = "what nobody on the way may read or change";
const ADDRESS = { transport: "tcp", hostname: "127.0.0.1", port: 0 } as const;
const REPORT = { say: () => {} };

/** One byte of one direction, and the bit in it that is turned over. */
interface Flip {
  readonly isDialler: boolean;
  readonly at: number;
  readonly bit: number;
}

/** Passes on what comes from one side, but for a bit; tells all that was seen. */
async function pass(
  from: Deno.Conn,
  to: Deno.Conn,
  flip: Flip | undefined,
): Promise<string> {
  let seen = "";
  const bytes = new Uint8Array(4096);
  for (;;) {
    // Either side may break off.
    const count = await from.read(bytes).catch(() => null);
    if (count === null) break;
    const at = flip === undefined ? -1 : flip.at - seen.length;
    if (flip && at >= 0 && at < count) bytes[at] = (bytes[at] ?? 0) ^ flip.bit;
    seen += String.fromCharCode(...bytes.subarray(0, count));
    await send(to, bytes.slice(0, count)).catch(() => {});
  }
  await to.closeWrite().catch(() => {});
  return seen;
}

/** Relays one connection to `port`; tells all that went either way. */
async function relay(
  raw: Deno.TcpListener,
  port: number,
  flip: Flip,
): Promise<string> {
  using here = await raw.accept();
  using there = await Deno.connect({ port });
  const seen = await Promise.all([
    pass(here, there, flip.isDialler ? flip : undefined),
    pass(there, here, flip.isDialler ? undefined : flip),
  ]);
  return seen.join("");
}

/** Reads to the end, or to the break, of every client that is let in. */
async function receiveAll(
  listener: TlsListener,
  texts: string[],
): Promise<void> {
  for (;;) {
    using socket = await listener.accept();
    let text = "";
    const bytes = new Uint8Array(100);
    for (;;) {
      const count = await socket.read(bytes).catch(() => null);
      if (count === null) break;
      text += new TextDecoder().decode(bytes.subarray(0, count));
    }
    texts.push(text);
  }
}

/** Sends the data, and waits for the listener's end. */
async function sendData(socket: Socket): Promise<void> {
  using _closed = socket;
  await socket.write(new TextEncoder().encode(DATA));
  await socket.closeWrite();
  await socket.read(new Uint8Array(1));
}

Deno.test("a bit that is turned over on the way breaks the connection, and shows and changes nothing", async () => {
  using folder = new Folder();
  const file = `${folder.path}/key`;
  await createSecretFile(file);
  const settings = { kind: "secret", option: "--secret-file", file } as const;
  const server = await prepareServer(settings, ADDRESS, REPORT);
  assert(server.listenTls !== undefined);
  const raw = Deno.listenTls({ ...server.listenTls, ...ADDRESS });
  assert(raw.addr.transport === "tcp");
  const { port } = raw.addr;
  const texts: string[] = [];
  using listener = new TlsListener(asListener(raw), server, REPORT);
  receiveAll(listener, texts).catch(() => {});
  const limits = { connectTimeoutMs: 1000 };
  const client = await prepareClient(settings, ADDRESS, limits, REPORT);
  const { signal } = new AbortController();
  let sent = 0;
  for (const [round, value] of randomBytes(ROUNDS, 3).entries()) {
    const flip = {
      isDialler: round % 2 === 0,
      at: value * 4,
      bit: 1 << round % 8,
    };
    using between = rawListener();
    const seen = relay(between, port, flip);
    const secured = client.secure(await dial(between.port), signal);
    await secured.then(sendData).then(() => sent++, () => {});
    assert(!(await seen).includes(DATA.slice(0, 8)));
  }
  assert(sent > 0 && sent < ROUNDS, `${sent} of ${ROUNDS} got through`);
  for (const text of texts) assert(DATA.startsWith(text), text);
  assert(texts.filter((text) => text === DATA).length >= sent);
});

function asListener(raw: Deno.TlsListener): Listener {
  const close = () => raw.close();
  return {
    address: "",
    exposed: false,
    accept: () => raw.accept(),
    close,
    [Symbol.dispose]: close,
  };
}
