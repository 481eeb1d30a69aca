/** Receipts: written, checked, and tampered with. */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { LocalIoError, RefusedError } from "../../../lib/base/errors.ts";
import {
  checkReceipt,
  type Receipt,
  writeReceipt,
} from "../../../lib/reliable/receipt.ts";
import { printable } from "../../../lib/base/printable.ts";
import { Folder } from "../../helpers/folder.ts";

const SECRET = new TextEncoder().encode("correct horse battery staple");
const OTHER = new TextEncoder().encode("correct horse battery stapler");

const RECEIPT: Receipt = {
  receipt: "sockpipe",
  version: 1,
  session: "00ff",
  role: "connect",
  local: "127.0.0.1:1",
  peer: "127.0.0.1:2",
  began: "2026-01-02T03:04:05.678Z",
  ended: "2026-01-02T03:04:06.789Z",
  sent: { bytes: 5, sha256: "ab".repeat(32) },
  received: { bytes: 7, sha256: "cd".repeat(32), file: "backup.tar" },
  compared: "sha256",
};

Deno.test("checkReceipt() accepts what writeReceipt() wrote, and says whether it is proven", async () => {
  using folder = new Folder();
  const path = `${folder.path}/receipt`;
  await writeReceipt(path, RECEIPT, undefined);
  const text = await checkReceipt(path, undefined);
  assertMatch(text, /^not proven.*\nsent 5 bytes, sha256 (ab)+\nreceived 7/);
  await assertRejects(
    () => checkReceipt(path, SECRET),
    RefusedError,
    "no proof",
  );
  await writeReceipt(path, RECEIPT, SECRET);
  assertMatch(await checkReceipt(path, SECRET), /^proven: /);
  await assertRejects(() => checkReceipt(path, OTHER), RefusedError, "match");
  await assertRejects(
    () => checkReceipt(path, undefined),
    RefusedError,
    "--secret-file",
  );
  assertEquals(folder.names(), ["receipt"]);
});

Deno.test("checkReceipt() refuses a receipt of which anything was changed", async () => {
  using folder = new Folder();
  const path = `${folder.path}/receipt`;
  await writeReceipt(path, RECEIPT, SECRET);
  const text = await Deno.readTextFile(path);
  for (const [name, value] of Object.entries(JSON.parse(text))) {
    for (const changed of [undefined, null, 1, `${value}0`, { bytes: 5 }]) {
      if (changed === value) continue;
      const json = { ...JSON.parse(text), [name]: changed };
      await Deno.writeTextFile(path, JSON.stringify(json));
      await assertRejects(() => checkReceipt(path, SECRET), RefusedError);
    }
  }
  for (const stream of ["sent", "received"] as const) {
    for (const change of [{ bytes: 6 }, { sha256: "00" }, { file: "x" }]) {
      const json = JSON.parse(text);
      Object.assign(json[stream], change);
      await Deno.writeTextFile(path, JSON.stringify(json));
      await assertRejects(() => checkReceipt(path, SECRET), RefusedError);
    }
  }
  for (
    const other of ["", "[]", "{}", text.slice(1), text.replace("{", '{"x":1,')]
  ) {
    await Deno.writeTextFile(path, other);
    await assertRejects(
      () => checkReceipt(path, SECRET),
      RefusedError,
      "not a receipt",
    );
  }
  const twice = '"peer": "127.0.0.1:3", "peer":';
  for (
    const [before, after] of [
      ['"version"', '"toString": "x", "version"'],
      ['"version"', '"__proto__": "x", "version"'],
      ['"bytes": 7', '"bytes": 7, "lost": 3'],
      ['"bytes": 7', '"bytes": 8, "bytes": 7'],
      ['"peer":', twice],
    ] as const
  ) {
    await Deno.writeTextFile(path, text.replace(before, after));
    await assertRejects(
      () => checkReceipt(path, SECRET),
      RefusedError,
      "not a receipt",
    );
  }
  const spaced = JSON.stringify(JSON.parse(text)).replaceAll('":', '"\t: ');
  await Deno.writeTextFile(path, spaced);
  assertMatch(await checkReceipt(path, SECRET), /^proven: /);
  await Deno.remove(path);
  await assertRejects(
    () => checkReceipt(path, SECRET),
    LocalIoError,
    "no such",
  );
});

Deno.test("checkReceipt() shows nothing that steers a terminal or forges a line", async () => {
  using folder = new Folder();
  const path = `${folder.path}/receipt`;
  const forged = "\u001b[2J\nproven: \u009b\u202e";
  const file = `a "b": \\${forged}`;
  const received = { ...RECEIPT.received, file };
  const receipt = { ...RECEIPT, peer: forged, received };
  await writeReceipt(path, receipt, undefined);
  const lines = (await checkReceipt(path, undefined)).split("\n");
  assertEquals(lines.length, 5);
  for (const line of lines) assertEquals(printable(line), line);
  for (const time of [`2026-01-02 (${forged})`, "2026-13-02T03:04:05.678Z"]) {
    await writeReceipt(path, { ...RECEIPT, began: time }, undefined);
    await assertRejects(
      () => checkReceipt(path, undefined),
      RefusedError,
      '"began"',
    );
  }
});
