/** The archives of a release: the program with its documents, compressed. */

import { fileURLToPath } from "node:url";
import { writeFiles } from "./documents.ts";
import type { Product } from "./product.ts";
import { runTool } from "./tool.ts";

/**
 * Makes `sockpipe-TARGET.zip` for Windows, `.tar.gz` and `.tar.zst` for the
 * others. All is in one folder, `sockpipe-TARGET`. The same files give the same
 * bytes.
 *
 * @returns The names of the archives, in `product.dist`.
 */
export async function makeArchives(product: Product): Promise<string[]> {
  const { target, dist } = product;
  const name = `sockpipe-${target}`;
  const parent = new URL(`${name}.parent/`, dist);
  try {
    await fill(new URL(`${name}/`, parent), product);
    return target.includes("windows")
      ? [await makeZip(name, parent, dist)]
      : await makeTars(name, parent, product);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

async function fill(
  folder: URL,
  { executable, target, documents, date }: Product,
): Promise<void> {
  await writeFiles(folder, documents);
  const suffix = target.includes("windows") ? ".exe" : "";
  const program = new URL(`sockpipe${suffix}`, folder);
  await Deno.copyFile(executable, program);
  if (suffix === "") await Deno.chmod(program, 0o755);
  await setTimes(folder, date);
}

/** Gives all that is in a folder one time, as an archive holds it. */
export async function setTimes(folder: URL, date: Date): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) await setTimes(new URL(`${name}/`, folder), date);
    else await Deno.utime(new URL(name, folder), date, date);
  }
  await Deno.utime(folder, date, date);
}

async function makeZip(name: string, cwd: URL, dist: URL): Promise<string> {
  const zip = `${name}.zip`;
  await Deno.remove(new URL(zip, dist)).catch(() => {});
  const words = ["-q", "-X", "-r", fileURLToPath(new URL(zip, dist)), name];
  // Zip has local times, and no zones.
  await runTool("zip", words, { cwd, env: { TZ: "UTC" } });
  return zip;
}

async function makeTars(
  name: string,
  cwd: URL,
  { dist, quick }: Product,
): Promise<string[]> {
  const tar = `${name}.tar`;
  const path = fileURLToPath(new URL(tar, dist));
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  const words = ["--create", "--file", path, "--sort=name", ...owner, name];
  await runTool("tar", words, { cwd });
  const [gzip, zstd] = quick ? ["-1", "-1"] : ["-9", "-19"];
  await runTool("zstd", ["-q", "-f", zstd, path], { cwd });
  await runTool("gzip", ["-n", "-f", gzip, path], { cwd }); // removes the tar
  return [`${tar}.gz`, `${tar}.zst`];
}
