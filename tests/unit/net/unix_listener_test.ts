/** The path of a listening unix socket: taken over, and removed, but only ours. */

import { assertEquals, assertInstanceOf } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import { listenUnix } from "../../../lib/net/unix_listener.ts";
import { Folder } from "../../helpers/folder.ts";

// Stays loaded for the process, so not within a test.
libc();

/** Windows has no unix sockets. */
const ignore = Deno.build.os === "windows";

/** Makes a socket on which nobody listens any more. */
async function leaveStale(path: string): Promise<void> {
  const listener = Deno.listen({ transport: "unix", path: `${path}.made` });
  await Deno.rename(`${path}.made`, path);
  listener.close();
}

Deno.test({
  name: "of many that start on a path that was left, one gets it and keeps it",
  ignore,
  async fn() {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    for (let round = 0; round < 5; round++) {
      await leaveStale(path);
      const starts = Array.from({ length: 10 }, () => listenUnix(path));
      const results = await Promise.allSettled(starts);
      const won = results.filter(({ status }) => status === "fulfilled");
      assertEquals(won.length, 1);
      using _conn = await Deno.connect({ transport: "unix", path });
      for (const result of results) {
        if (result.status === "fulfilled") result.value.close();
        else assertInstanceOf(result.reason, Deno.errors.AddrInUse);
      }
      assertEquals(folder.names(), []);
    }
  },
});

Deno.test({
  name: "a path that somebody else has taken meanwhile is left to them",
  ignore,
  async fn() {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    const { close } = await listenUnix(path);
    await Deno.remove(path);
    const second = await listenUnix(path);
    close();
    using _conn = await Deno.connect({ transport: "unix", path });
    second.close();
    assertEquals(folder.names(), []);
  },
});

Deno.test({
  name: "a path that cannot be removed any more is left, and nothing is thrown",
  ignore,
  async fn() {
    using folder = new Folder();
    const module = import.meta.resolve("../../../lib/net/unix_listener.ts");
    const map = import.meta.resolve(
      "../../../scripts/npm_only/import_map.json",
    );
    const code = `import { listenUnix } from "${module}";
      const { close } = await listenUnix(${JSON.stringify(`${folder.path}/s`)});
      await Deno.permissions.revoke({ name: "write" });
      close();
      console.log("closed");`;
    const file = `${folder.path}/close.ts`;
    await Deno.writeTextFile(file, code);
    const flags = ["--no-lock", "--no-prompt", `--import-map=${map}`];
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", ...flags, "--allow-all", file],
      signal: AbortSignal.timeout(30_000),
    }).output();
    const text = new TextDecoder();
    assertEquals(text.decode(stdout), "closed\n", text.decode(stderr));
  },
});
