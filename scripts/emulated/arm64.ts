/**
 * `task arm64`: the tests with one side, or all, on Linux of arm64: npm's Deno for
 * it, under qemu's user mode, with the C library of Debian's package for cross
 * compilers. Both are kept in the cache.
 *
 * It takes `qemu-user-static`, npm, and Debian's (or Ubuntu's) apt-get; where one of
 * them is missing, it says so and does nothing.
 */

import { cached } from "../cache.ts";
import { runTool } from "../release/tool.ts";
import { denoFor, main, need, NotHereError, type System } from "./system.ts";

const QEMU = "qemu-aarch64-static";
const PACKAGES = ["libc6-arm64-cross", "libgcc-s1-arm64-cross"];

async function arm64(): Promise<System & AsyncDisposable> {
  if (Deno.build.os !== "linux") throw new NotHereError("it takes Linux");
  await need([QEMU, "npm", "apt-get", "dpkg-deb"]);
  const libraries = await cached("arm64-libraries", getLibraries);
  const folder = await denoFor("linux-arm64-glibc");
  return {
    name: "arm64",
    deno: `${QEMU} -L '${libraries}' '${folder}/deno'`,
    // What only computes is the same, and takes an hour under qemu. Those of exec
    // need PR_SET_CHILD_SUBREAPER of prctl(2), which qemu has not.
    units: [
      ...["base", "io", "net"].map((room) => `tests/unit/${room}`),
      "--ignore=tests/unit/net/unix_listener_test.ts", // starts Deno by itself
    ],
    path: (path) => path,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function getLibraries(cwd: string): Promise<string> {
  try {
    await runTool("apt-get", ["download", "-qq", ...PACKAGES], { cwd });
  } catch (error) {
    throw new NotHereError("apt-get cannot get the libraries", {
      cause: error,
    });
  }
  const unpack = 'for file in *.deb; do dpkg-deb -x "$file" root; done';
  await runTool("sh", ["-c", unpack], { cwd });
  return `${cwd}/root/usr/aarch64-linux-gnu`;
}

if (import.meta.main) Deno.exit(await main(arm64));
