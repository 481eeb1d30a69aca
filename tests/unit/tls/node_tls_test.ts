import { assert, assertEquals } from "@std/assert";
import { startClient } from "../../../lib/tls/node_tls.ts";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";

Deno.test("the end of our stream is a close_notify, and no end of TCP", async () => {
  const { cert, key } = await makeSelfSigned(["localhost"]);
  const hostname = "127.0.0.1";
  using listener = Deno.listenTls({ hostname, port: 0, cert, key });
  const accepted = listener.accept();
  assert(listener.addr.transport === "tcp");
  const conn = await Deno.connect({ port: listener.addr.port });
  let isTcpEnded = false;
  const closeWrite = conn.closeWrite.bind(conn);
  conn.closeWrite = () => {
    isTcpEnded = true;
    return closeWrite();
  };
  const options = { name: "localhost", alpn: [], keyPair: undefined };
  using client = startClient(conn, options);
  using server = await accepted;
  await client.handshake();
  await client.write(new TextEncoder().encode("question"));
  await client.closeWrite();
  const received = new Uint8Array(100);
  assertEquals(await server.read(received), 8);
  assertEquals(await server.read(received), null);
  assert(!isTcpEnded);
  await server.write(new TextEncoder().encode("answer"));
  await server.closeWrite();
  assertEquals(await client.read(received), 6);
  assertEquals(await client.read(received), null);
});
