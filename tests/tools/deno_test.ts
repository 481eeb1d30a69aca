/**
 * `scripts/deno.ts`: a child that behaves as if it had been started directly,
 * and the choice between JSR and the stand-ins.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { PERMISSIONS } from "../../scripts/program.ts";
import { within } from "../helpers/deadlines.ts";

const SCRIPT = new URL("../../scripts/deno.ts", import.meta.url).pathname;

function wrapped(
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", SCRIPT, ...args],
    ...options,
  });
}

/** What `@std/async/delay` is for a child that is started in this environment. */
async function resolved(env: Record<string, string>): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "sockpipe-test-" });
  try {
    const args = [
      "eval",
      'console.log(import.meta.resolve("@std/async/delay"))',
    ];
    // An empty cache, as the packages may be in the real one.
    const command = wrapped(args, { env: { DENO_DIR: folder, ...env } });
    const { stdout, stderr } = await within(command.output(), "deno eval");
    assertEquals(new TextDecoder().decode(stderr), "");
    return new TextDecoder().decode(stdout).trimEnd();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("deno.ts leaves stdin, stdout, stderr and the exit code to the child", async () => {
  const code = `const text = await new Response(Deno.stdin.readable).text();
    console.log(text.length + Deno.args[0]);
    console.error("to stderr");
    Deno.exitCode = 7;`;
  const module = `data:text/javascript,${encodeURIComponent(code)}`;
  const child = wrapped(["run", module, "--help"], {
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new Uint8Array(1_000_000));
  await writer.close();
  const output = await within(child.output(), "the child");
  assertEquals(new TextDecoder().decode(output.stdout), "1000000--help\n");
  assertEquals(new TextDecoder().decode(output.stderr), "to stderr\n");
  assertEquals(output.code, 7);
});

Deno.test({
  name: "deno.ts passes signals on to the child",
  ignore: Deno.build.os === "windows",
  async fn() {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const code = `Deno.addSignalListener("${signal}", () => Deno.exit(42));
        console.log("ready");
        setTimeout(() => {}, 60_000);`;
      const child = wrapped(["eval", code], { stdout: "piped" }).spawn();
      const reader = child.stdout.getReader();
      await within(reader.read(), "the child to be ready");
      child.kill(signal);
      const { code: exitCode } = await within(child.status, "the child's end");
      assertEquals(exitCode, 42, signal);
      await reader.cancel();
    }
  },
});

Deno.test({
  name: "deno.ts exits with 128 + n when signal n ends the child",
  ignore: Deno.build.os === "windows",
  async fn() {
    const command = wrapped(["eval", 'Deno.kill(Deno.pid, "SIGKILL")']);
    const { code } = await within(command.output(), "the child");
    assertEquals(code, 128 + 9);
  },
});

Deno.test("deno.ts takes the map that SOCKPIPE_NPM_ONLY says", async () => {
  const standIn = import.meta.resolve("../../scripts/npm_only/async.ts");
  assertEquals(await resolved({ SOCKPIPE_NPM_ONLY: "1" }), standIn);
  assertStringIncludes(await resolved({ SOCKPIPE_NPM_ONLY: "0" }), "jsr:");
});

Deno.test("deno.ts takes the stand-ins where JSR refuses or never answers", async () => {
  const standIn = import.meta.resolve("../../scripts/npm_only/async.ts");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${listener.addr.port}/`;
  const env = { SOCKPIPE_NPM_ONLY: "", JSR_URL: url };
  assertEquals(await resolved(env), standIn);
  listener.close();
  assertEquals(await resolved(env), standIn);
});

Deno.test("task start has the permissions of the program, and no others", () => {
  const allowed =
    config.tasks.start.command.match(/--(?:allow|no-prompt)\S*/g) ?? [];
  assertEquals(allowed.toSorted(), PERMISSIONS.toSorted());
});
