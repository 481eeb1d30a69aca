/**
 * Stands in for `@std/assert` where JSR cannot be reached: the assertions that
 * the tests use, with the same names and types, on Node's assert.
 *
 * Equality is Node's `deepStrictEqual`. It is stricter than the real one about
 * prototypes, `-0` and properties that are undefined, so that what passes here
 * passes there.
 */

import assertion, { AssertionError } from "node:assert";

export { AssertionError };

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** Fails unless the expression is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw failure(msg || `Expected a truthy value: ${shown(expr)}`);
}

/** Fails unless the expression is falsy. */
export function assertFalse(expr: unknown, msg = ""): void {
  if (expr) throw failure(msg || `Expected a falsy value: ${shown(expr)}`);
}

/** Fails, always. */
export function fail(msg?: string): never {
  throw failure("Failed assertion", msg);
}

/** Fails unless both are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  const values = `${shown(actual)} is not ${shown(expected)}`;
  throw failure(`Values are not equal: ${values}`, msg);
}

/** Fails if both are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  throw failure(`Expected another value than ${shown(actual)}`, msg);
}

/** Fails unless both are the same value, as `Object.is` says it. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const values = `${shown(actual)} is not ${shown(expected)}`;
  throw failure(`Values are not strictly equal: ${values}`, msg);
}

/** Fails on undefined and null. */
export function assertExists<T>(
  actual: T,
  msg?: string,
): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw failure(`Expected a value: ${shown(actual)}`, msg);
}

/** Fails unless `actual` is an instance of the class. */
export function assertInstanceOf<
  // deno-lint-ignore no-explicit-any
  T extends abstract new (...args: any[]) => any,
>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  throw failure(
    `Expected an instance of ${expectedType.name}: ${shown(actual)}`,
    msg,
  );
}

/** Fails unless `actual` > `expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (actual > expected) return;
  throw failure(msg ?? `Expected ${shown(actual)} > ${shown(expected)}`);
}

/** Fails unless `actual` >= `expected`. */
export function assertGreaterOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (actual >= expected) return;
  throw failure(msg ?? `Expected ${shown(actual)} >= ${shown(expected)}`);
}

/** Fails unless `actual` < `expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (actual < expected) return;
  throw failure(msg ?? `Expected ${shown(actual)} < ${shown(expected)}`);
}

/** Fails unless `actual` <= `expected`. */
export function assertLessOrEqual<T>(
  actual: T,
  expected: T,
  msg?: string,
): void {
  if (actual <= expected) return;
  throw failure(msg ?? `Expected ${shown(actual)} <= ${shown(expected)}`);
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(
  actual: string,
  expected: string,
  msg?: string,
): void {
  if (actual.includes(expected)) return;
  throw failure(`Expected "${actual}" to contain "${expected}"`, msg);
}

/** Fails unless the pattern matches. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (expected.test(actual)) return;
  throw failure(`Expected "${actual}" to match ${expected}`, msg);
}

/** Fails if the pattern matches. */
export function assertNotMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  if (!expected.test(actual)) return;
  throw failure(`Expected "${actual}" not to match ${expected}`, msg);
}

/**
 * Fails unless the function throws, and throws an error of the class with the
 * text in its message, where they are given.
 *
 * @returns What was thrown.
 */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  ...expected: Expected
): unknown {
  try {
    fn();
  } catch (error) {
    return checkError(error, expected);
  }
  throw failure("Expected function to throw", messageOf(expected));
}

/**
 * Fails unless the promise of the function rejects, and rejects with an error of
 * the class with the text in its message, where they are given. A function that
 * throws instead of rejecting fails as well.
 *
 * @returns What the promise was rejected with.
 */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  msg?: string,
): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  ...expected: Expected
): Promise<unknown> {
  let promise;
  try {
    promise = fn();
  } catch (error) {
    throw failure(
      `Function throws when expected to reject: ${shown(error)}`,
      messageOf(expected),
    );
  }
  try {
    await promise;
  } catch (error) {
    return checkError(error, expected);
  }
  throw failure("Expected function to reject", messageOf(expected));
}

/** A message, or a class with a part of its message and a message. */
type Expected = [
  first?: string | ErrorClass<Error>,
  msgIncludes?: string,
  msg?: string,
];

function messageOf([first, , msg]: Expected): string | undefined {
  return typeof first === "string" ? first : msg;
}

function checkError(error: unknown, expected: Expected): unknown {
  const [first, msgIncludes] = expected;
  if (first === undefined || typeof first === "string") return error;
  const msg = messageOf(expected);
  assertInstanceOf(error, first, msg);
  if (msgIncludes !== undefined) {
    assertStringIncludes(error.message, msgIncludes, msg);
  }
  return error;
}

function equal(actual: unknown, expected: unknown): boolean {
  try {
    // With a message of its own it does not work out a difference to show, which
    // takes minutes for megabytes of bytes.
    assertion.deepStrictEqual(actual, expected, "different");
    return true;
  } catch (error) {
    if (error instanceof AssertionError) return false;
    throw error;
  }
}

function shown(value: unknown): string {
  return Deno.inspect(value, { depth: 10, strAbbreviateSize: 10_000 });
}

function failure(message: string, addition?: string): AssertionError {
  return new AssertionError({
    message: addition ? `${message}: ${addition}` : message,
  });
}
