/** `--proxy-protocol` and `--accept-proxy-protocol`, with nginx and HAProxy. */

import { assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { type RealServer, startServer } from "../../helpers/real_proxies.ts";
import {
  accept,
  dial,
  rawListener,
  receiveText,
  send,
} from "../../helpers/tcp.ts";

const VERSIONS = ["v1", "v2"];

/** nginx that answers with the client's address, as a PROXY header tells it. */
function nginx(): Promise<RealServer> {
  return startServer((port, folder) => {
    Deno.writeTextFileSync(
      `${folder}/conf`,
      `daemon off; user root; pid ${folder}/pid; error_log ${folder}/error;
      events {}
      http {
        access_log off;
        ${
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
          .map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")
      }
        server {
          listen 127.0.0.1:${port} proxy_protocol;
          location / { return 200 "$proxy_protocol_addr:$proxy_protocol_port\\n"; }
        }
      }`,
    );
    return ["nginx", "-c", `${folder}/conf`];
  });
}

/** HAProxy in front of a port, which it tells by a PROXY header who comes. */
function haproxy(target: number, words: string): Promise<RealServer> {
  return startServer((port, folder) => {
    Deno.writeTextFileSync(
      `${folder}/conf`,
      `defaults
        mode tcp
        timeout connect 5s
        timeout client 30s
        timeout server 30s
      listen all
        bind 127.0.0.1:${port}
        server one 127.0.0.1:${target} ${words}\n`,
    );
    return ["haproxy", "-db", "-f", `${folder}/conf`];
  });
}

testWith(
  ["nginx"],
  "nginx behind --forward sees the client's address",
  async () => {
    await using server = await nginx();
    for (const version of VERSIONS) {
      const forwarder = await listener(
        ["--keep-open", "--connections", "1", "--proxy-protocol", version]
          .concat(["--forward", `127.0.0.1:${server.port}`]),
      );
      await using forward = forwarder.server;
      await using client = sockpipe(
        ["--connect", forwarder.at.address, "--source", "127.0.0.7", "-v"],
        { stdin: "piped" },
      );
      await client.feed("GET / HTTP/1.0\r\n\r\n");
      const [, port] = await client.said(
        /connected to \S+ from 127\.0\.0\.7:(\d+)/,
      );
      await client.stdout.match(new RegExp(`^127\\.0\\.0\\.7:${port}$`, "m"));
      await client.endStdin();
      assertEquals(await client.code(), 0);
      await forward.code();
    }
  },
);

testWith(
  ["haproxy"],
  "behind HAProxy, the client's address holds for events, --exec and --allow",
  async () => {
    for (const words of ["send-proxy", "send-proxy-v2"]) {
      const { server, at } = await listener(
        ["--keep-open", "--accept-proxy-protocol", "127.0.0.1", "-v"]
          .concat(["--deny", "127.0.0.8", "--exec"])
          .concat('echo "$SOCKPIPE_PEER_ADDRESS $SOCKPIPE_LOCAL_PORT"'),
      );
      await using _ = server;
      await using front = await haproxy(at.port, words);
      await using client = sockpipe(
        ["--connect", `127.0.0.1:${front.port}`, "--source", "127.0.0.7"],
        { stdin: "piped" },
      );
      // Where it came to is the port of HAProxy, as the header tells.
      await client.stdout.match(
        new RegExp(`^127\\.0\\.0\\.7 ${front.port}$`, "m"),
      );
      await server.said(/connected to 127\.0\.0\.7:\d+ from 127\.0\.0\.1:/);
      await using outsider = sockpipe(
        ["--connect", `127.0.0.1:${front.port}`, "--source", "127.0.0.8"],
      );
      await outsider.code();
      assertEquals(outsider.stdout.text(), "");
      await server.said(/127\.0\.0\.8:\d+ may not connect/);
    }
  },
);

testWith(
  ["/proc"],
  "two of ours pass on who the client is, with --reliable as well",
  async () => {
    for (const version of VERSIONS) {
      const { server, at } = await listener(
        ["--reliable", "--accept-proxy-protocol", "127.0.0.0/8", "-v"],
        { stdin: "down" },
      );
      await using _ = server;
      const between = await listener(
        ["--keep-open", "--connections", "1", "--proxy-protocol", version]
          .concat(["--forward", at.address]),
      );
      await using _between = between.server;
      await using client = sockpipe(
        [
          "--connect",
          between.at.address,
          "--reliable",
          "--source",
          "127.0.0.7",
        ],
        { stdin: "up" },
      );
      const { code, stdout } = await client.result();
      assertEquals([code, stdout], [0, "down"]);
      const result = await server.result();
      assertEquals([result.code, result.stdout], [0, "up"]);
      assertMatch(result.stderr, /127\.0\.0\.7:\d+/);
    }
  },
);

testWith(
  ["/proc"],
  "who is not trusted is taken as it is, header and all",
  async () => {
    const { server, at } = await listener(
      ["--accept-proxy-protocol", "127.0.0.2", "-v"],
    );
    await using _ = server;
    using conn = await dial(at.port);
    await send(conn, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    await conn.closeWrite();
    const { code, stdout, stderr } = await server.result();
    assertEquals([code, stdout], [0, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"]);
    assertMatch(stderr, /connected to 127\.0\.0\.1:/);
  },
);

testWith(
  ["/proc"],
  "who sends no header, or none in time, holds up nobody",
  async () => {
    const { server, at } = await listener(
      ["--accept-proxy-protocol", "127.0.0.1", "--keep-open"]
        .concat(["--connections", "1"]),
    );
    await using _ = server;
    using mute = await dial(at.port);
    using wrong = await dial(at.port);
    await send(wrong, "GET / HTTP/1.1\r\n\r\n");
    await server.said(
      /refused 127\.0\.0\.1:\d+: it does not begin with a PROXY header/,
    );
    using right = await dial(at.port);
    await send(right, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello");
    await right.closeWrite();
    const { code, stdout } = await server.result();
    assertEquals([code, stdout], [0, "hello"]);
    assertEquals(mute.remoteAddr.port, at.port);
  },
);

testWith(
  ["/proc"],
  "a forwarder whose target leaves at once fails for that client alone",
  async () => {
    using target = rawListener();
    const { server, at } = await listener(
      ["--keep-open", "--connections", "1", "--proxy-protocol", "v1"]
        .concat(["--forward", `127.0.0.1:${target.port}`]),
    );
    await using _ = server;
    using client = await dial(at.port);
    using conn = await accept(target);
    const header = await receiveText(conn, 12);
    assertEquals(header, "PROXY TCP4 1");
    await conn.closeWrite();
    await client.closeWrite();
    assertEquals(await receiveText(client), "");
  },
);
