/**
 * Prints the notes of a release, out of CHANGELOG.md:
 *
 *     deno run --allow-read scripts/release_notes.ts v0.1.0
 *
 * Refuses a tag that is not the version of deno.json.
 */

import config from "../../deno.json" with { type: "json" };

/**
 * The part of a changelog below the heading of a version, `## 0.1.0` or
 * `## 0.1.0 (2026-11-23)`, and above the next one.
 *
 * @throws {Error} If there is no such heading, nothing below it, or it says
 * "unreleased".
 */
export function releaseNotes(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => /^\S+/.exec(text)?.[0] === version);
  const [heading = "", ...lines] = section?.split("\n") ?? [];
  const notes = lines.join("\n").trim();
  if (notes === "") {
    throw new Error(`Cannot release "${version}": CHANGELOG.md has no notes`);
  }
  if (heading.includes("unreleased")) {
    throw new Error(
      `Cannot release "${version}": CHANGELOG.md says that it is unreleased`,
    );
  }
  return `${notes}\n`;
}

async function main(tag: string | undefined): Promise<string> {
  if (tag !== `v${config.version}`) {
    throw new Error(
      `Cannot release "${tag}": the version of deno.json is "${config.version}"`,
    );
  }
  const changelog = new URL("../../CHANGELOG.md", import.meta.url);
  return releaseNotes(await Deno.readTextFile(changelog), config.version);
}

if (import.meta.main) {
  const notes = await main(Deno.args[0]);
  await Deno.stdout.write(new TextEncoder().encode(notes));
}
