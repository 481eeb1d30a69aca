/**
 * The commands of documents, run as they stand: shells beside each other in a
 * network of their own, in which `here` and `there` are this machine and all ports
 * are free.
 */

import { assert, assertEquals } from "@std/assert";
import { formatSecret, newSecret } from "../../lib/tls/secret.ts";
import { randomBytes } from "./bytes.ts";
import type { Folder } from "./folder.ts";
import { run } from "./process.ts";

export const DISK = randomBytes(300_000, 7);
export const REPORT = new TextEncoder().encode("%PDF a report\n");

/** What both machines have in the file `key`. */
const SECRET = await formatSecret(newSecret());

/** What runs as root of a network and a file system of its own. */
const DRIVER = `
set -u
cd "$1"
ip link set lo up && mount --bind hosts /etc/hosts || exit 99
listens() {
  grep -qs ' 0A ' /proc/net/tcp /proc/net/tcp6 ||
    ls work*/*.sock > listening 2>&1 || [ -S /tmp/demo.sock ]
}
for script in script*; do
  number=\${script#script}
  (
    cd "work$number"
    bash "../$script" > "../stdout$number" 2> "../stderr$number" < /dev/null
    echo $? > "../code$number"
  ) &
  if grep -Eq -- '--listen| -l |LISTEN' "$script"; then
    until listens || [ -s "code$number" ]; do read -rt 0.05 <> <(:); done
  fi
done
wait
exit 0
`;

/** What one shell of a recipe has done. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Its working directory, with a slash. */
  readonly work: string;
}

/**
 * Runs scripts beside each other, one after the other as soon as each listens.
 * They have the same directory, unless `apart`.
 */
export async function together(
  folder: Folder,
  scripts: readonly string[],
  { apart = true }: { apart?: boolean } = {},
): Promise<Outcome[]> {
  const { path } = folder;
  await Deno.writeTextFile(
    `${path}/hosts`,
    "127.0.0.1 localhost here there nas.local db.local example.com\n",
  );
  await Deno.mkdir(`${path}/bin`);
  await Deno.writeTextFile(`${path}/bin/psql`, "#!/bin/sh\necho in psql\n");
  await Deno.writeTextFile(
    `${path}/bin/nc`,
    '#!/bin/sh\nexec nc.openbsd "$@"\n',
  );
  for (const name of ["psql", "nc"]) {
    await Deno.chmod(`${path}/bin/${name}`, 0o755);
  }
  for (const [index, script] of scripts.entries()) {
    await Deno.writeTextFile(`${path}/script${index}`, script);
    if (index > 0 && !apart) {
      await Deno.symlink("work0", `${path}/work${index}`);
    } else await furnish(`${path}/work${index}`);
  }
  await using driver = run(
    [
      "unshare",
      "-rnm",
      "env",
      "bash",
      "-c",
      `PATH="$1/bin:$PATH"\n${DRIVER}`,
      "driver",
      path,
    ],
  );
  const { code, stderr } = await driver.result();
  assertEquals(code, 0, stderr);
  return await Promise.all(scripts.map(async (_, index) => ({
    code: Number(await Deno.readTextFile(`${path}/code${index}`)),
    stdout: await Deno.readTextFile(`${path}/stdout${index}`),
    stderr: await Deno.readTextFile(`${path}/stderr${index}`),
    work: `${path}/work${index}/`,
  })));
}

async function furnish(work: string): Promise<void> {
  await Deno.mkdir(`${work}/photos`, { recursive: true });
  await Deno.writeFile(`${work}/photos/one.jpg`, DISK.slice(0, 5000));
  await Deno.writeFile(`${work}/disk.img`, DISK);
  await Deno.writeFile(`${work}/report.pdf`, REPORT);
  await Deno.writeTextFile(`${work}/hosts.txt`, "there\n");
  await Deno.writeTextFile(`${work}/key`, SECRET, { mode: 0o600 });
  await Deno.writeTextFile(`${work}/file`, "what is in the file\n");
}

export async function readDocument(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`../../${name}`, import.meta.url));
}

export const FENCE = /^```sh\n([\s\S]*?)^```$/gm;

export function allZero(outcomes: readonly Outcome[]): void {
  for (const { code, stderr } of outcomes) assertEquals(code, 0, stderr);
}

export async function sameFile(
  path: string,
  expected: Uint8Array,
): Promise<void> {
  const found = await Deno.readFile(path);
  assert(
    found.length === expected.length &&
      found.every((byte, index) => byte === expected[index]),
    `${path} arrived`,
  );
}

/** Everything ended well, and the first shell has the disk image. */
export async function diskArrived(outcomes: readonly Outcome[]): Promise<void> {
  allZero(outcomes);
  await sameFile(`${outcomes[0]?.work}disk.img`, DISK);
}

export async function photosArrived(
  outcomes: readonly Outcome[],
): Promise<void> {
  allZero(outcomes);
  await sameFile(`${outcomes[0]?.work}photos/one.jpg`, DISK.slice(0, 5000));
}
