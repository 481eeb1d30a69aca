/** The rights that a run has left, asked of the runtime in the middle of it. */

import { assertEquals } from "@std/assert";
import { programCommand } from "../../../scripts/program.ts";
import { until } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, type Running } from "../../helpers/process.ts";
import { listener } from "../../helpers/program.ts";
import { dial, send } from "../../helpers/tcp.ts";

/** Answers SIGWINCH with the rights that are left. */
const PROBE = `Deno.addSignalListener("SIGWINCH", () => {
  const left = ["run", "ffi", "env", "read", "write", "net"].filter((name) =>
    Deno.permissions.querySync({ name }).state === "granted");
  Deno.stderr.writeSync(new TextEncoder().encode("rights: " + left.join(" ") + ".\\n"));
});`;

async function probed(folder: Folder, args: string): Promise<Running> {
  const probe = `${folder.path}/probe.js`;
  await Deno.writeTextFile(probe, PROBE);
  const [deno = "", command = "", ...words] = await programCommand();
  return run(
    [deno, command, `--preload=${probe}`, ...words, ...args.split(" ")],
    { stdin: "piped" },
  );
}

async function rightsOf(program: Running): Promise<string> {
  program.kill("SIGWINCH");
  const [, rights = ""] = await program.said(/rights: (.*)\.\n/);
  return rights;
}

/** Runs, in which FILE and PORT are a file and a port that takes connections, and what is left. */
const LEFT: readonly (readonly [string, string])[] = [
  ["--listen 0", ""],
  ["--listen 0 --limit-rate 1M", ""],
  ["--listen 0 --dump FILE.dump", ""],
  ["--listen 0 --forward PORT", ""],
  ["--listen 0 --serve FILE", ""],
  ["--listen 0 --exec cat", "run ffi"],
  ["--listen unix:FILE.sock", "read write"],
  ["--listen 0 --output FILE.out", "read write"],
  ["--listen 0 --keep-open", "env"],
  ["--listen 0 --keep-open --forward PORT", "env net"],
  ["--listen 0 --keep-open --serve FILE", "env read"],
  ["--listen 0 --keep-open --exec cat", "run ffi env read"],
  ["--connect PORT", ""],
  ["--connect PORT --reconnect --receive-only", "env net"],
];

for (const [args, left] of LEFT) {
  Deno.test({
    name: `sockpipe ${args} has ${left === "" ? "no right" : left} left`,
    // Nobody can ask inside of a compiled program.
    ignore: Deno.env.has("SOCKPIPE_BIN"),
    fn: async () => {
      using folder = new Folder();
      const file = `${folder.path}/file`;
      await Deno.writeFile(file, new Uint8Array(1 << 20));
      const { server, at } = await listener(["--keep-open", "--receive-only"]);
      await using _server = server;
      const line = args.replaceAll("FILE", file).replace("PORT", `${at.port}`);
      await using program = await probed(folder, `${line} --verbose`);
      const unix = /unix:(\S+)/.exec(line)?.[1];
      using conn = args.startsWith("--connect")
        ? undefined
        : unix === undefined
        ? await dial((await program.listening()).port)
        : await program.listening().then(() =>
          Deno.connect({ transport: "unix", path: unix })
        );
      if (conn !== undefined) await send(conn as Deno.TcpConn, "x");
      // Whatever is opened is open when bytes have come through.
      if (/exec|forward|serve|output/.test(args)) await settled(program);
      else if (conn === undefined) await program.said(/connected to/);
      else await program.stdout.atLeast(1);
      assertEquals(await rightsOf(program), left);
    },
  });
}

async function settled(program: Running): Promise<void> {
  await program.said(/connected to/);
  await until(() => {
    program.kill("SIGUSR2");
    return /received 1 byte/.test(program.stderr.text()) || undefined;
  }, "a byte to be received");
}
