/**
 * Makes what is released, in dist/:
 *
 *     task package                             for this machine
 *     task package --all                       for every target
 *     task package --all --url=URL --homepage=URL    and what Homebrew and scoop
 *                       install by, with the address that the files will have
 *
 * - `sockpipe-TARGET.tar.gz` and `.tar.zst` (`.zip` for Windows): the executable,
 *   the man page, completions
 * - `sockpipe_VERSION-1_ARCHITECTURE.deb`
 * - `sockpipe-VERSION.tgz` for npm
 * - `install.sh`, and SHA256SUMS of all
 *
 * The version is that of deno.json, the time of all files that of the last
 * commit. It takes tar, gzip, zstd, zip, dpkg-deb and npm.
 */

import { createHash } from "node:crypto";
import config from "../../deno.json" with { type: "json" };
import { makeArchives } from "./archive.ts";
import { commitTime } from "./commit.ts";
import {
  compileAll,
  compileHere,
  releaseName,
  stage,
  type Target,
  TARGETS,
} from "./compile.ts";
import { makeDebian } from "./debian.ts";
import { documents } from "./documents.ts";
import { homebrewFormula, type Release, scoopManifest } from "./manifests.ts";
import { makeNpmPackage } from "./npm_package.ts";

const INSTALLER = new URL("install.sh", import.meta.url);

/** The packages to make. */
export interface Order {
  /** For every target and not for this machine alone. */
  readonly all: boolean;
  /** The address of the files; without it there are no manifests. */
  readonly url?: string | undefined;
  readonly homepage?: string | undefined;
}

/**
 * Makes all packages.
 *
 * @param dist Where; ends in a slash.
 */
export async function makePackages(
  dist: URL,
  order: Order,
): Promise<void> {
  const date = await commitTime();
  const { version } = config;
  const common = { documents: await documents(date), version, date, dist };
  const names: string[] = ["install.sh"];
  const tree = await stage();
  try {
    for (const [target, executable] of await executables(tree, dist, order)) {
      const quick = !order.all;
      const product = { ...common, target, executable, quick };
      names.push(...await makeArchives(product), ...await makeDebian(product));
    }
    names.push(await makeNpmPackage({ ...common, tree }));
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
  await writeInstaller(dist, order);
  const sums = await writeSums(dist, names);
  const { url, homepage } = order;
  if (url !== undefined && homepage !== undefined) {
    await writeManifests(dist, { version, url, homepage, sums });
  }
}

async function executables(
  tree: URL,
  dist: URL,
  { all }: Order,
): Promise<(readonly [Target, URL])[]> {
  if (!all) {
    const target = TARGETS.find((target) => target === Deno.build.target);
    if (target === undefined) {
      throw new Error(`Cannot package for "${Deno.build.target}"`);
    }
    return [[target, await compileHere(tree, dist)]];
  }
  await compileAll(tree, dist);
  return TARGETS.map((target) => [target, new URL(releaseName(target), dist)]);
}

/** Tells install.sh where the releases are, when that is known. */
async function writeInstaller(dist: URL, { homepage }: Order): Promise<void> {
  const source = await Deno.readTextFile(INSTALLER);
  const releases = homepage === undefined ? "" : `${homepage}/releases`;
  const script = source.replace(/^releases=$/m, `releases=${releases}`);
  await Deno.writeTextFile(new URL("install.sh", dist), script);
}

/** Writes SHA256SUMS as `sha256sum` does. */
async function writeSums(
  dist: URL,
  names: readonly string[],
): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  for (const name of names) {
    const bytes = await Deno.readFile(new URL(name, dist));
    sums.set(name, createHash("sha256").update(bytes).digest("hex"));
  }
  const lines = Array.from(sums, ([name, sum]) => `${sum}  ${name}\n`);
  await Deno.writeTextFile(new URL("SHA256SUMS", dist), lines.join(""));
  return sums;
}

async function writeManifests(dist: URL, release: Release): Promise<void> {
  const formula = homebrewFormula(release);
  await Deno.writeTextFile(new URL("sockpipe.rb", dist), formula);
  const manifest = scoopManifest(release);
  await Deno.writeTextFile(new URL("sockpipe.json", dist), manifest);
}

/** @throws {Error} A word that is not understood. */
function orderOf(args: readonly string[]): Order {
  const values = new Map<string, string>();
  for (const arg of args) {
    const [, name, value = ""] = /^--(all|url|homepage)(?:=(.+))?$/.exec(arg) ??
      [];
    if (name === undefined) throw new Error(`Cannot understand "${arg}"`);
    values.set(name, value);
  }
  return {
    all: values.has("all"),
    url: values.get("url"),
    homepage: values.get("homepage"),
  };
}

if (import.meta.main) {
  const dist = new URL("../../dist/", import.meta.url);
  await Deno.mkdir(dist, { recursive: true });
  try {
    await makePackages(dist, orderOf(Deno.args));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    Deno.stderr.writeSync(new TextEncoder().encode(`package: ${text}\n`));
    Deno.exit(1);
  }
}
