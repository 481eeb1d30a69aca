/** What holds for processes, however they are started. */

import { assert, assertEquals } from "@std/assert";
import type { Child, StartChild } from "../../lib/exec/child.ts";
import { within } from "./deadlines.ts";

/** What the children of {@linkcode testChildren} are prepared with. */
export const DATA_SIZE = 1000;

/** Prepares to start a command; disposed of after the test, if it can be. */
export type Starter = (command: string) => StartChild & Partial<Disposable>;

/** Registers all tests for one way to start processes. */
export function testChildren(kind: string, starter: Starter): void {
  for (const [name, body] of Object.entries(CONTRACT)) {
    Deno.test({
      name: `${kind}: ${name}`,
      ignore: Deno.build.os === "windows",
      // The runtime closes descriptors some time after it is told to.
      sanitizeOps: false,
      sanitizeResources: false,
      async fn() {
        using started = new DisposableStack();
        const done = body(async (command) => {
          const start = starter(command);
          started.defer(() => start[Symbol.dispose]?.());
          const child = await start({ GIVEN: "a=b" });
          started.defer(() => {
            child.input.close();
            child.output.close();
          });
          return child;
        });
        await within(done, "the processes");
      },
    });
  }
}

async function readAll({ output }: Child): Promise<string> {
  let text = "";
  for (
    let bytes = await output.read();
    bytes !== null;
    bytes = await output.read()
  ) {
    assert(bytes.length > 0 && bytes.length <= DATA_SIZE);
    text += new TextDecoder().decode(bytes);
  }
  await output.ended;
  return text;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** The tests, by what they say. */
const CONTRACT: Record<
  string,
  (start: (command: string) => Promise<Child>) => Promise<void>
> = {
  "an answer after the end of the question": async (start) => {
    const child = await start("sort; echo $GIVEN");
    await child.input.write(bytesOf("b\na\n"));
    await child.input.end();
    await child.input.end();
    assertEquals(await readAll(child), "a\nb\na=b\n");
    assertEquals(await child.output.read(), null);
    assertEquals(await child.status.then(({ code }) => code), 0);
    await child.groupEnded;
  },
  "all output of one that reads nothing": async (start) => {
    const child = await start("head -c 300000 /dev/zero; exit 3");
    const written = child.input.write(new Uint8Array(1_000_000));
    assertEquals((await readAll(child)).length, 300_000);
    await written;
    await child.input.end();
    const { code, signal } = await child.status;
    assertEquals({ code, signal }, { code: 3, signal: null });
  },
  "a signal reaches the whole group": async (start) => {
    const child = await start("sleep 1000 | sleep 1000; true");
    child.kill("SIGKILL");
    const { code, signal } = await child.status;
    assertEquals({ code, signal }, { code: 137, signal: "SIGKILL" });
    await child.groupEnded;
    child.kill("SIGKILL");
  },
  "what a process has started may outlive it": async (start) => {
    const child = await start("sleep 1000 >&- & echo started");
    assertEquals(await readAll(child), "started\n");
    await child.status;
    const now = Promise.resolve("not yet");
    assertEquals(await Promise.race([child.groupEnded, now]), "not yet");
    child.kill("SIGTERM");
    await child.groupEnded;
  },
  "closing ends a pending read and write": async (start) => {
    const child = await start("sleep 1000");
    const read = child.output.read();
    const written = child.input.write(new Uint8Array(1_000_000));
    child.output.close();
    child.input.close();
    assertEquals(await read, null);
    await written;
    await child.input.write(bytesOf("dropped"));
    child.kill("SIGKILL");
    await child.groupEnded;
  },
};
