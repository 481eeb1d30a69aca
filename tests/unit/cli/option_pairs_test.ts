/** Every two options together: they go, or one sentence says why not and what to do. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Option, OPTIONS } from "../../../lib/cli/option_table.ts";
import { refusalOf } from "../../helpers/usage.ts";

const SAMPLES: Readonly<Record<string, string>> = {
  "source": "127.0.0.1",
  "proxy": "socks5h://127.0.0.1:1080",
  "allow": "127.0.0.1",
  "deny": "127.0.0.1",
  "tls-pin": `sha256:${"ab".repeat(32)}`,
  "tls-client-pin": `sha256:${"ab".repeat(32)}`,
  "accept-proxy-protocol": "127.0.0.1",
};
const BY_KIND: Record<Option["kind"], string> = {
  flag: "",
  address: "1",
  size: "1M",
  duration: "1s",
  count: "1",
  text: "text",
};

function wordsOf({ name, kind, choices }: Option): string[] {
  const value = choices?.[0] ?? SAMPLES[name] ?? BY_KIND[kind];
  return kind === "flag" ? [`--${name}`] : [`--${name}=${value}`];
}

Deno.test("every two options go together, or a sentence names one of them", () => {
  let refused = 0;
  for (const mode of ["listen", "connect"] as const) {
    for (const [index, first] of OPTIONS.entries()) {
      for (const second of OPTIONS.slice(index + 1)) {
        const given = [first, second].filter(({ name }) => name !== mode);
        const argv = [`--${mode}=1`, ...given.flatMap(wordsOf)];
        const sentence = refusalOf(argv);
        // Their order does not matter.
        assertEquals(refusalOf([...argv].toReversed()), sentence);
        if (sentence === undefined) continue;
        refused++;
        assertMatch(sentence, /^[^\n]*[^.\n]$/, `${argv}`);
        assert(
          [first, second].some(({ name }) => sentence.includes(`--${name}`)),
          `${argv}: ${sentence}`,
        );
      }
    }
  }
  assert(refused > 1000);
});
