import { assertEquals } from "@std/assert";
import { parseProxy } from "../../../lib/net/proxy_settings.ts";
import { prepareRoute } from "../../../lib/net/route.ts";

Deno.test("prepareRoute() leaves no password in the environment, which programs of --exec get", async () => {
  const name = "SOCKPIPE_PROXY_PASSWORD";
  Deno.env.set(name, "secret");
  const route = await prepareRoute({
    family: undefined,
    source: undefined,
    proxy: parseProxy("socks5h://user@127.0.0.1:9"),
    proxyPasswordFile: undefined,
  });
  assertEquals(route.through, 'the proxy "127.0.0.1:9"');
  assertEquals(Deno.env.get(name), undefined);
});
