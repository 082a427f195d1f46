// Checks values by the JSON Schemas that the server gives, while the user types.
// Knows only the keywords those use; what it does not know it does not complain of.

export interface Schema {
  $ref?: string;
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  description?: string;
}

/** Schemas by name, as they stand below `components`. */
export type Schemas = Record<string, Schema>;

/** What is wrong, and where: a path such as `/healthChecks(0)/path`, as the server writes it. */
export interface Fault {
  path: string;
  error: string;
}

/** The schema that a reference leads to. */
export function resolve(schema: Schema, schemas: Schemas): Schema {
  const name = schema.$ref?.split('/').pop();
  const target = name === undefined ? undefined : schemas[name];
  return target === undefined ? schema : resolve(target, schemas);
}

/** All that is wrong with a value. A member that is null counts as absent, as the server reads it. */
export function check(value: unknown, schema: Schema, schemas: Schemas, path = ''): Fault[] {
  const rule = resolve(schema, schemas);
  const here = path === '' ? '/' : path;
  const wrong = (error: string): Fault[] => [{ path: here, error }];
  if (rule.oneOf ?? rule.anyOf) {
    const choices = (rule.oneOf ?? rule.anyOf ?? []).map((choice) => check(value, choice, schemas, path));
    if (choices.some((faults) => faults.length === 0)) return [];
    return choices.length === 1 ? (choices[0] ?? []) : wrong('is of none of the forms that are possible here');
  }
  if (rule.enum && !rule.enum.includes(value)) return wrong(`must be one of ${rule.enum.join(', ')}`);
  switch (rule.type) {
    case 'string':
      return typeof value === 'string' ? checkText(value, rule, wrong) : wrong('must be a text');
    case 'integer':
    case 'number':
      return checkNumber(value, rule, wrong);
    case 'boolean':
      return typeof value === 'boolean' ? [] : wrong('must be true or false');
    case 'array':
      return Array.isArray(value) ? checkList(value, rule, schemas, path, wrong) : wrong('must be a list');
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
        ? checkMembers(value as Record<string, unknown>, rule, schemas, path)
        : wrong('must be an object');
    default:
      return [];
  }
}

type Wrong = (error: string) => Fault[];

function checkText(value: string, rule: Schema, wrong: Wrong): Fault[] {
  if (rule.minLength !== undefined && value.length < rule.minLength) {
    return wrong(rule.minLength === 1 ? 'must not be empty' : `needs at least ${rule.minLength} characters`);
  }
  if (rule.maxLength !== undefined && value.length > rule.maxLength) {
    return wrong(`may have at most ${rule.maxLength} characters`);
  }
  if (rule.pattern !== undefined && !new RegExp(rule.pattern, 'u').test(value)) {
    return wrong(`must match ${rule.pattern}`);
  }
  return [];
}

function checkNumber(value: unknown, rule: Schema, wrong: Wrong): Fault[] {
  if (typeof value !== 'number' || !Number.isFinite(value)) return wrong('must be a number');
  if (rule.type === 'integer' && !Number.isInteger(value)) return wrong('must be a whole number');
  if (rule.minimum !== undefined && value < rule.minimum) return wrong(`must be at least ${rule.minimum}`);
  if (rule.maximum !== undefined && value > rule.maximum) return wrong(`must be at most ${rule.maximum}`);
  return [];
}

function checkList(value: unknown[], rule: Schema, schemas: Schemas, path: string, wrong: Wrong): Fault[] {
  if (rule.minItems !== undefined && value.length < rule.minItems) return wrong(`needs at least ${rule.minItems} entries`);
  if (rule.maxItems !== undefined && value.length > rule.maxItems) return wrong(`may have at most ${rule.maxItems} entries`);
  const { items } = rule;
  return items ? value.flatMap((item, place) => check(item, items, schemas, `${path}(${place})`)) : [];
}

function checkMembers(value: Record<string, unknown>, rule: Schema, schemas: Schemas, path: string): Fault[] {
  const faults: Fault[] = [];
  for (const name of rule.required ?? []) {
    if (value[name] === undefined || value[name] === null) faults.push({ path: `${path}/${name}`, error: 'is missing' });
  }
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined || member === null) continue;
    const own = rule.properties && Object.hasOwn(rule.properties, name) ? rule.properties[name] : undefined;
    const other = typeof rule.additionalProperties === 'object' ? rule.additionalProperties : undefined;
    const of = own ?? other;
    if (of) faults.push(...check(member, of, schemas, `${path}/${name}`));
  }
  return faults;
}

/** Names in an object that its schema does not know; the server passes them over, so they may be mistakes. */
export function strangers(value: unknown, schema: Schema, schemas: Schemas): string[] {
  const { properties } = resolve(schema, schemas);
  if (!properties || typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.keys(value).filter((name) => !Object.hasOwn(properties, name));
}

/** Words for the short names of errors that Marathon's parser gives. */
const KEYS: Record<string, string> = {
  'error.expected.jsstring': 'must be a text',
  'error.expected.jsnumber': 'must be a number',
  'error.expected.jsboolean': 'must be true or false',
  'error.expected.jsarray': 'must be a list',
  'error.expected.jsobject': 'must be an object',
  'error.expected.int': 'must be a whole number',
  'error.path.missing': 'is missing',
  'error.min': 'is too small',
  'error.max': 'is too large',
  'error.minLength': 'is too short',
  'error.maxLength': 'is too long',
  'error.pattern': 'is not of the form that is wanted here',
  'error.unknown.enum.literal': 'is none of the words that are possible here',
};

/** What the server says of a member, in words that help. */
export function explain(path: string, error: string): string {
  if (error === 'error.pattern' && path === '/id') {
    return 'must be made of small letters, digits, hyphens and dots, in parts with a slash before each: /shop/cart';
  }
  return KEYS[error] ?? error;
}
