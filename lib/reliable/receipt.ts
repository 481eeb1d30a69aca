/**
 * `--receipt`: a record of what a session has delivered, which the other side has
 * confirmed; `docs/receipt.schema.json` describes it.
 */

import { areSecretsEqual } from "../base/bytes.ts";
import { LocalIoError, reasonOf, RefusedError } from "../base/errors.ts";
import { hmacSha256 } from "../base/hmac.ts";
import { readBytes } from "../base/readable_file.ts";
import { checkName, fileInfo } from "../base/file_names.ts";
import { replaceFile, tryReplaceFile } from "../base/replace_file.ts";
import { hex } from "../base/units.ts";
import { printable } from "../base/printable.ts";
import type { SessionResult } from "./reliable.ts";

/** Far more than a receipt has, in bytes. */
const MAX_RECEIPT_BYTES = 64 * 1024;

/** One stream of a session, as a receipt has it. */
export interface StreamReceipt {
  readonly bytes: number;
  /** The SHA-256 of the stream, in hex. */
  readonly sha256: string;
  /** The file that it came from or went to, when that is known. */
  readonly file?: string;
}

/** The contents of a receipt, without its proof. */
export interface Receipt {
  readonly receipt: "sockpipe";
  readonly version: 1;
  /** The id of the session, in hex: the same on both sides. */
  readonly session: string;
  readonly role: "connect" | "listen";
  readonly local: string;
  readonly peer: string;
  /** The time of the first connection. */
  readonly began: string;
  /** The time at which both streams were confirmed. */
  readonly ended: string;
  readonly sent: StreamReceipt;
  readonly received: StreamReceipt;
  /** The check of the streams that both sides have made. */
  readonly compared: "sha256" | "crc32";
}

/** A receipt, and the proof that it was written by who knows the secret. */
interface Signed extends Receipt {
  /** HMAC-SHA-256 of all else, in hex; `null` when there was no secret. */
  readonly proof: string | null;
}

const encoder = new TextEncoder();

const KEY_LABEL = "sockpipe receipt, version 1";

/**
 * Writes a receipt to a new file, or in place of an old one, whole or not at all; it
 * is on the disk when this resolves.
 *
 * @param secret What only both sides know, if they have a secret.
 * @throws {LocalIoError} It cannot be written.
 */
export async function writeReceipt(
  path: string,
  receipt: Receipt,
  secret: Uint8Array | undefined,
): Promise<void> {
  const proof = secret === undefined ? null : prove(receipt, secret);
  const text = JSON.stringify({ ...receipt, proof }, undefined, 2) + "\n";
  try {
    await replaceFile(path, text, { onDisk: true });
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Finds out whether a receipt can be written, before anything else is done.
 *
 * @param options.overwrite Whether a file of that name may be replaced.
 * @throws {LocalIoError} It cannot, or there is a file of that name to be kept.
 */
export async function checkReceiptFile(
  path: string,
  { overwrite }: { readonly overwrite: boolean },
): Promise<void> {
  try {
    checkName(await fileInfo(path), { overwrite });
    await tryReplaceFile(path);
  } catch (error) {
    throw writeError(path, error);
  }
}

function writeError(path: string, error: unknown): LocalIoError {
  return new LocalIoError(
    `Cannot write --receipt "${path}": ${reasonOf(error)}`,
    { cause: error },
  );
}

/**
 * Checks a receipt.
 *
 * @param secret What only both sides know, to check the proof with.
 * @returns The lines to print.
 * @throws {LocalIoError} It cannot be read.
 * @throws {RefusedError} It is no receipt, was changed, or cannot be checked: with
 * a proof and no secret, or the other way round.
 */
export async function checkReceipt(
  path: string,
  secret: Uint8Array | undefined,
): Promise<string> {
  const signed = await readReceipt(path);
  const { proof, ...receipt } = signed;
  const refuse = (why: string) =>
    new RefusedError(`Cannot accept --check-receipt "${path}": ${why}`);
  if (proof !== null && secret === undefined) {
    throw refuse(
      "its proof takes the secret; give --secret-file FILE, or --token-file",
    );
  }
  if (proof === null && secret !== undefined) {
    throw refuse("it has no proof; anybody can have written it");
  }
  if (proof !== null && secret !== undefined) {
    const expected = prove(receipt, secret);
    if (!areSecretsEqual(encoder.encode(proof), encoder.encode(expected))) {
      throw refuse(
        "its proof does not match; it was changed, or made with another secret",
      );
    }
  }
  return describe(receipt, proof !== null);
}

async function readReceipt(path: string): Promise<Signed> {
  let text: string;
  try {
    const { bytes } = await readBytes(path, MAX_RECEIPT_BYTES);
    text = new TextDecoder().decode(bytes);
  } catch (error) {
    throw new LocalIoError(
      `Cannot read --check-receipt "${path}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
  const value = parsed(text);
  const wrong = isRecord(value) ? wrongField(value, text) : "JSON";
  if (wrong === undefined) return value as unknown as Signed;
  throw new RefusedError(
    `Cannot accept --check-receipt "${path}": it is not a receipt of sockpipe; its ${wrong} is missing or wrong`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const HEX = /^([0-9a-f]{2})+$/;

/** The form of each field, in the order in which they are written. */
const FIELDS: Record<keyof Signed, (value: unknown) => boolean> = {
  receipt: (value) => value === "sockpipe",
  version: (value) => value === 1,
  session: (value) => typeof value === "string" && HEX.test(value),
  role: (value) => value === "connect" || value === "listen",
  local: isText,
  peer: isText,
  began: isTime,
  ended: isTime,
  sent: isStream,
  received: isStream,
  compared: (value) => value === "sha256" || value === "crc32",
  proof: (value) =>
    value === null || typeof value === "string" && HEX.test(value),
};

/** The fields that each stream has or may have. */
const STREAM_FIELDS = ["bytes", "sha256", "file"];

function wrongField(
  value: Record<string, unknown>,
  text: string,
): string | undefined {
  for (const [name, isRight] of Object.entries(FIELDS)) {
    if (!isRight(value[name])) return `"${name}"`;
  }
  const more = Object.keys(value).find((name) => !Object.hasOwn(FIELDS, name));
  if (more !== undefined) return JSON.stringify(more);
  // Of a name that comes twice, other readers may take the other value.
  return countNames(text) === countFields(value) ? undefined : "JSON";
}

/** Counts the names in JSON: the strings that a colon follows. */
function countNames(json: string): number {
  const strings = json.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g);
  return strings.filter(([, colon]) => colon !== undefined).toArray().length;
}

function countFields(value: unknown): number {
  if (!isRecord(value)) return 0;
  const fields = Object.values(value);
  return fields.reduce<number>((sum, v) => sum + countFields(v), fields.length);
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

/**
 * Whether it is a time as `toISOString` writes it: `Date.parse` takes any text in
 * brackets, too.
 */
function isTime(value: unknown): boolean {
  return typeof value === "string" &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) &&
    !Number.isNaN(Date.parse(value));
}

function isStream(value: unknown): boolean {
  return isRecord(value) &&
    Object.keys(value).every((name) => STREAM_FIELDS.includes(name)) &&
    Number.isSafeInteger(value["bytes"]) && Number(value["bytes"]) >= 0 &&
    typeof value["sha256"] === "string" && HEX.test(value["sha256"]) &&
    (value["file"] === undefined || isText(value["file"]));
}

/**
 * Makes the proof, over the values in the order of the table, however they are
 * written.
 */
function prove(receipt: Receipt, secret: Uint8Array): string {
  const values = Object.keys(FIELDS).filter((name) => name !== "proof")
    .map((name) => receipt[name as keyof Receipt])
    .map((value) =>
      isRecord(value)
        ? [value["bytes"], value["sha256"], value["file"] ?? null]
        : value
    );
  const key = hmacSha256(secret, KEY_LABEL);
  return hex(hmacSha256(key, JSON.stringify(values)));
}

function describe(receipt: Receipt, isProven: boolean): string {
  const { sent, received, peer, began, ended, compared } = receipt;
  const stream = (what: string, { bytes, sha256, file }: StreamReceipt) =>
    `${what} ${bytes} bytes, sha256 ${sha256}` +
    (file === undefined ? "" : `, ${JSON.stringify(file)}`);
  return [
    isProven
      ? "proven: written by who knows the secret, and not changed since"
      : "not proven: there was no secret, so anybody can have written this",
    stream("sent", sent),
    stream("received", received),
    `with ${
      JSON.stringify(peer)
    }, from ${began} to ${ended}, compared by ${compared}`,
  ].map((line) => `${printable(line)}\n`).join("");
}

/**
 * Makes the receipt of a session whose streams are confirmed and were hashed.
 *
 * @param file The file that was written, if there is one.
 */
export function receiptOf(
  { session, id, role, addresses }: SessionResult,
  file: string | undefined,
): Receipt {
  const { outgoing, incoming, options } = session;
  const now = new Date();
  return {
    receipt: "sockpipe",
    version: 1,
    session: hex(id),
    role,
    local: addresses?.local ?? "",
    peer: addresses?.peer ?? "",
    began: (addresses?.since ?? now).toISOString(),
    ended: now.toISOString(),
    sent: streamReceipt(outgoing.acceptedBytes, outgoing.sha256),
    received: streamReceipt(incoming.deliveredBytes, incoming.sha256, file),
    compared: options.digest ? "sha256" : "crc32",
  };
}

function streamReceipt(
  bytes: number,
  sha256: Uint8Array = new Uint8Array(),
  file?: string,
): StreamReceipt {
  return { bytes, sha256: hex(sha256), ...file === undefined ? {} : { file } };
}
