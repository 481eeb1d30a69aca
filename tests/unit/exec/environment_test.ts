/** What a process learns about its connection. */

import { assertEquals } from "@std/assert";
import { connectionEnvironment } from "../../../lib/exec/environment.ts";

Deno.test("connectionEnvironment() takes addresses apart", () => {
  assertEquals(
    connectionEnvironment({ peer: "192.0.2.1:5000", local: "[::1]:80" }),
    {
      SOCKPIPE_PROTOCOL: "tcp",
      SOCKPIPE_PEER_ADDRESS: "192.0.2.1",
      SOCKPIPE_PEER_PORT: "5000",
      SOCKPIPE_LOCAL_ADDRESS: "::1",
      SOCKPIPE_LOCAL_PORT: "80",
    },
  );
  assertEquals(
    connectionEnvironment({ peer: "[fe80::1%eth0]:1", local: "[fe80::2]:2" })
      .SOCKPIPE_PEER_ADDRESS,
    "fe80::1%eth0",
  );
});

Deno.test("connectionEnvironment() knows unix sockets by their paths", () => {
  assertEquals(
    connectionEnvironment({ peer: "unix:", local: "unix:/run/a:1\nb" }),
    {
      SOCKPIPE_PROTOCOL: "unix",
      SOCKPIPE_PEER_ADDRESS: "",
      SOCKPIPE_LOCAL_ADDRESS: "/run/a:1\nb",
    },
  );
});
