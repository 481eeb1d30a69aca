/** The manifests of a release for Homebrew and scoop: addresses and checksums. */

import type { Target } from "./compile.ts";

/** A release that can be downloaded. */
export interface Release {
  readonly version: string;
  /** The project's page. */
  readonly homepage: string;
  /** The address of the files of the release; ends in no slash. */
  readonly url: string;
  /** SHA-256 of the files by name, in hex. */
  readonly sums: ReadonlyMap<string, string>;
}

const DESCRIPTION =
  "TCP pipe for the shell whose exit code tells whether the data arrived";

/** The systems of a formula: Homebrew's words for them. */
const HOMEBREW: readonly (readonly [string, string, Target])[] = [
  ["on_macos", "on_arm", "aarch64-apple-darwin"],
  ["on_macos", "on_intel", "x86_64-apple-darwin"],
  ["on_linux", "on_arm", "aarch64-unknown-linux-gnu"],
  ["on_linux", "on_intel", "x86_64-unknown-linux-gnu"],
];

/**
 * The formula for Homebrew, `sockpipe.rb`.
 *
 * @throws {Error} The sum of an archive is missing.
 */
export function homebrewFormula(release: Release): string {
  const { version, homepage } = release;
  const sources = HOMEBREW.map(([system, machine, target]) => {
    const { url, hash } = download(release, `sockpipe-${target}.tar.gz`);
    return `  ${system} do
    ${machine} do
      url "${url}"
      sha256 "${hash}"
    end
  end
`;
  });
  return `class Sockpipe < Formula
  desc "${DESCRIPTION}"
  homepage "${homepage}"
  version "${version}"
  license "MIT"

${sources.join("\n")}
  def install
    bin.install "sockpipe"
    man1.install "sockpipe.1"
    bash_completion.install "completions/sockpipe.bash" => "sockpipe"
    zsh_completion.install "completions/_sockpipe"
    fish_completion.install "completions/sockpipe.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/sockpipe --version")
  end
end
`;
}

/**
 * The manifest for scoop, `sockpipe.json`.
 *
 * @throws {Error} The sum of the archive is missing.
 */
export function scoopManifest(release: Release): string {
  const name = "sockpipe-x86_64-pc-windows-msvc";
  const manifest = {
    version: release.version,
    description: DESCRIPTION,
    homepage: release.homepage,
    license: "MIT",
    architecture: {
      "64bit": { ...download(release, `${name}.zip`), extract_dir: name },
    },
    bin: "sockpipe.exe",
    checkver: "github",
  };
  return JSON.stringify(manifest, null, 4) + "\n";
}

function download(
  { url, sums }: Release,
  name: string,
): { url: string; hash: string } {
  const hash = sums.get(name);
  if (hash === undefined) throw new Error(`Cannot find the sum of "${name}"`);
  return { url: `${url}/${name}`, hash };
}
