/** Events of `--json`, and the schema that they obey. */

import { assert, assertEquals } from "@std/assert";
import type { Running } from "./process.ts";

/** The parts of JSON Schema that docs/events.schema.json uses. */
export interface Schema {
  readonly $ref?: string;
  readonly $defs?: Record<string, Schema>;
  readonly oneOf?: readonly Schema[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
}

export const SCHEMA: Schema = JSON.parse(
  await Deno.readTextFile(
    new URL("../../docs/events.schema.json", import.meta.url),
  ),
);

/** Everything in which the value breaks the schema. */
export function violations(
  value: unknown,
  schema: Schema,
  at = "event",
): string[] {
  if (schema.$ref !== undefined) {
    const target = SCHEMA.$defs?.[schema.$ref.replace("#/$defs/", "")];
    assert(target, `${schema.$ref} is not in the schema`);
    return violations(value, target, at);
  }
  const found: string[] = [];
  const expect = (holds: boolean, what: string) => {
    if (!holds) found.push(`${at}: ${JSON.stringify(value)} is not ${what}`);
  };
  if (schema.oneOf !== undefined) {
    const matching = schema.oneOf
      .filter((one) => violations(value, one, at).length === 0);
    expect(matching.length === 1, "exactly one of the alternatives");
  }
  if (schema.const !== undefined) expect(value === schema.const, "the const");
  if (schema.enum) expect(schema.enum.includes(value), "in the enum");
  if (schema.type === "integer") expect(Number.isInteger(value), "an integer");
  else if (schema.type) {
    const type: string = typeof value;
    expect(type === schema.type, schema.type);
  }
  if (schema.minimum !== undefined) {
    expect(Number(value) >= schema.minimum, `${schema.minimum} or more`);
  }
  if (schema.maximum !== undefined) {
    expect(Number(value) <= schema.maximum, `${schema.maximum} or less`);
  }
  if (schema.pattern !== undefined) {
    expect(new RegExp(schema.pattern).test(String(value)), schema.pattern);
  }
  if (schema.properties !== undefined && typeof value === "object") {
    const members: Record<string, unknown> = { ...value };
    for (const name of schema.required ?? []) {
      expect(name in members, `with ${name}`);
    }
    for (const [name, member] of Object.entries(members)) {
      const inner = schema.properties[name];
      if (inner) found.push(...violations(member, inner, `${at}.${name}`));
      else expect(schema.additionalProperties !== false, `without ${name}`);
    }
  }
  return found;
}

export type Json = Record<string, unknown>;

/** Waits for the end of a run with --json; nothing but valid events is there. */
export async function eventsOf(
  run: Running,
): Promise<{ code: number; all: Json[] }> {
  const { code, stderr } = await run.result();
  const all = stderr.trimEnd().split("\n").map((line): Json =>
    JSON.parse(line)
  );
  for (const event of all) assertEquals(violations(event, SCHEMA), []);
  const last = all.at(-1);
  assertEquals([last?.event, last?.exitCode], ["closed", code]);
  return { code, all };
}

/** The names of events, in their order. */
export function names(events: readonly Json[]): unknown[] {
  return events.map(({ event }) => event);
}

/** Waits for the address that a listener with `--json` announces. */
export async function addressOf(server: Running): Promise<string> {
  const [, address = ""] = await server.said(
    /"event":"listening".*"address":"([^"]+)"/,
  );
  return address;
}
