/** The commands of the documents: all are understood, and those of other tools do the same. */

import { assert, assertEquals } from "@std/assert";
import { parseCommandLine } from "../../lib/cli/parse.ts";
import { testWith } from "../helpers/conditions.ts";
import { Folder } from "../helpers/folder.ts";
import { FENCE, readDocument, together } from "../helpers/recipes.ts";

const TOOLS = ["nc", "ncat", "socat", "sockpipe"] as const;

interface Job {
  readonly job: string;
  readonly commands: readonly { tool: string; command: string }[];
}

/** The rows of the table of docs/coming-from-netcat.md. */
function jobsOf(text: string): Job[] {
  const [, table = ""] = /^\| job .*\n\|[-| ]+\|\n((?:\|.*\n)+)/m.exec(text) ??
    [];
  return table.trim().split("\n").map((row) => {
    const [, job = "", ...cells] = row.split("|").map((cell) => cell.trim());
    const commands = TOOLS.flatMap((tool, index) => {
      const command = cells[index]?.replaceAll("`", "") ?? "";
      return command === "" ? [] : [{ tool, command }];
    });
    return { job, commands };
  });
}

const SENDS = "nc -l 32000 > got";
const FETCHES = "nc -N there 32000 < file";

/** Who is on the other side of each job, and what must have arrived where. */
const PEERS: Record<
  string,
  { peer: string; first: boolean; arrives?: string }
> = {
  "send a file": { peer: SENDS, first: true, arrives: "got" },
  "wait for a file": { peer: FETCHES, first: false, arrives: "copy" },
  "wait for a file, from this machine only": {
    peer: FETCHES,
    first: false,
    arrives: "copy",
  },
  "fetch a file": {
    peer: "nc -N -l 32000 < file",
    first: true,
    arrives: "copy",
  },
  "offer a file": {
    peer: "nc -d there 32000 > got",
    first: false,
    arrives: "got",
  },
  "try again until somebody listens": {
    peer: SENDS,
    first: false,
    arrives: "got",
  },
  "give up connecting after 5 s": { peer: SENDS, first: true, arrives: "got" },
  "is somebody there?": { peer: "nc -l 32000", first: true },
  "a unix socket": {
    peer: "nc -l -U demo.sock > got",
    first: true,
    arrives: "got",
  },
  "run a command for a client": {
    peer: "nc -d there 32000 > got",
    first: false,
    arrives: "got",
  },
  "forward a port": {
    peer: `nc -N -l 33000 < file &
      until grep -q ':80E8 ' /proc/net/tcp; do read -rt 0.05 <> <(:); done
      nc -N there 32000 < /dev/null > got; wait`,
    first: false,
    arrives: "got",
  },
  "record the traffic": { peer: SENDS, first: true, arrives: "got" },
};

const jobs = jobsOf(await readDocument("docs/coming-from-netcat.md"));

Deno.test("every job of docs/coming-from-netcat.md has a peer, and no other", () => {
  assertEquals(jobs.map(({ job }) => job), Object.keys(PEERS));
});

for (const { job, commands } of jobs) {
  const known = PEERS[job];
  if (known === undefined) continue;
  const { peer, first, arrives } = known;
  testWith(
    ["unshare", "ip", "nc.openbsd", "ncat", "socat"],
    `docs/coming-from-netcat.md: ${job}`,
    async () => {
      await Promise.all(commands.map(async ({ tool, command }) => {
        using folder = new Folder();
        const scripts = first ? [peer, command] : [command, peer];
        const outcomes = await together(folder, scripts, { apart: false });
        const ours = outcomes[first ? 1 : 0];
        assertEquals(ours?.code, 0, `${tool}: ${ours?.stderr}`);
        if (arrives === undefined) return;
        const got = await Deno.readTextFile(`${ours?.work}${arrives}`);
        assertEquals(got, "what is in the file\n", tool);
      }));
    },
  );
}

for (const name of ["README.md", "README.fr.md", "docs/exit-codes.md"]) {
  Deno.test(`every command line of ${name} is a valid one`, async () => {
    const text = await readDocument(name);
    const calls = [...text.matchAll(FENCE)].flatMap((
      [, script = ""],
    ) => [...script.matchAll(/\bsockpipe (--[^|&;<>#\n]*)/g)]);
    assert(calls.length > 0);
    for (const [, words = ""] of calls) {
      const argv = [...words.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)]
        .map(([, single, double, bare]) => single ?? double ?? bare ?? "")
        .map((word) => word.replace(/\$\w+/, "host:1").replace(":1:", ":"));
      assert(parseCommandLine(argv), words);
    }
  });
}

Deno.test("docs/network.md: our parser takes every command", async () => {
  const text = await readDocument("docs/network.md");
  const calls = [
    ...text.matchAll(
      /(?:\/usr\/bin\/|^ {4}|ProxyCommand )sockpipe (-.+)$/gm,
    ),
  ];
  assert(calls.length >= 6);
  for (const [, words = ""] of calls) {
    const argv = words.replace("%h:%p", "host:22").split(" ");
    assert(parseCommandLine(argv), words);
  }
});

Deno.test("README.fr.md has every command of README.md", async () => {
  const [english, french] = await Promise.all(
    ["README.md", "README.fr.md"].map(async (name) =>
      [...(await readDocument(name)).matchAll(FENCE)]
        .map(([, script = ""]) => script.replaceAll(/ *(?<=\s)# .*/g, ""))
    ),
  );
  const missing = english?.filter((script) => !french?.includes(script));
  assertEquals(missing, []);
});
