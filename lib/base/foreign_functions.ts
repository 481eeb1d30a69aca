/** Functions of a system's library, opened in little time. */

/** A structure of one int, as a parameter. */
const INT_STRUCT = { struct: ["i32"] } as const;

/** One function, as `Deno.dlopen` takes it. */
type Definition = Deno.ForeignFunction;
/** One function, as it is called. */
// deno-lint-ignore no-explicit-any
type Call = (...args: any[]) => unknown;

/**
 * Opens functions of a library, in some 10 µs each but for the compiled ones.
 *
 * The runtime takes 100 to 200 µs each to compile code that makes a call a tenth
 * of a microsecond faster, but none for functions that are passed a structure. One
 * of a single int is passed as the int itself is (System V ABI, AAPCS64), so the
 * first int of each function is handed over in one; a function that takes none is
 * given one more argument, which it does not look at.
 *
 * @param compiled The functions that are called so often that it pays to have them
 * compiled.
 * @returns The functions; they stay open until the process ends.
 * @throws {Error} There is no such library, or no such function in it.
 * @throws {Deno.errors.NotCapable} The right to `ffi` is not there.
 */
export function openFunctions<T extends Record<string, Definition>>(
  library: string,
  definitions: T,
  compiled: readonly (keyof T & string)[] = [],
): Deno.DynamicLibrary<T>["symbols"] {
  const asked: Record<string, Definition> = {};
  const places = new Map<string, number>();
  for (const [name, definition] of Object.entries(definitions)) {
    const { parameters, nonblocking } = definition;
    asked[name] = definition;
    // What runs on another thread is not compiled anyway.
    if (nonblocking === true || compiled.includes(name)) continue;
    const int = parameters.indexOf("i32");
    const place = int < 0 ? parameters.length : int;
    const changed = [...parameters];
    changed[place] = INT_STRUCT;
    asked[name] = { ...definition, parameters: changed };
    places.set(name, place);
  }
  const opened: Record<string, Call> = Deno.dlopen(library, asked).symbols;
  const calls = Object.entries(opened).map(([name, call]) => {
    const place = places.get(name);
    return [name, place === undefined ? call : passingStruct(call, place)];
  });
  return Object.fromEntries(calls);
}

/** Makes a call that hands over the int at a place in a structure. */
function passingStruct(call: Call, place: number): Call {
  const int = new Int32Array(1);
  const struct = new Uint8Array(int.buffer);
  return (...args) => {
    int[0] = args[place] ?? 0;
    args[place] = struct;
    return call(...args);
  };
}
