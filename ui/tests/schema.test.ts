// What the schema checker finds, with the schemas that the server really gives.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { check, explain, strangers, type Schemas } from '../src/lib/schema';

const api = JSON.parse(readFileSync('../actors/src/marathon/http/openapi.json', 'utf8')) as { components: { schemas: Schemas } };
const schemas = api.components.schemas;
const app = schemas['App']!;
const faults = (value: unknown) => check(value, app, schemas).map((fault) => `${fault.path} ${fault.error}`);

describe('check', () => {
  it('takes what is right', () => {
    expect(faults({ id: '/a', cmd: 'sleep 1', cpus: 0.1, env: { A: 'b', S: { secret: 'x' } }, constraints: [['hostname', 'UNIQUE']] })).toEqual([]);
  });
  it.each([
    [{ id: '/a', cpus: 'x' }, '/cpus must be a number'],
    [{ id: '/a', instances: 1.5 }, '/instances must be a whole number'],
    [{ id: '/a', mem: -1 }, '/mem must be at least 0'],
    [{}, '/id is missing'],
    [{ id: null }, '/id is missing'],
    [[], '/ must be an object'],
    [{ id: '/a', args: 'x' }, '/args must be a list'],
    [{ id: '/a', labels: { a: 1 } }, '/labels/a must be a text'],
    [{ id: '/a', tty: 'yes' }, '/tty must be true or false'],
    [{ id: '/a', killSelection: 'NONE' }, '/killSelection must be one of YOUNGEST_FIRST, OLDEST_FIRST'],
    [{ id: '/a', env: { A: 1 } }, '/env/A is of none of the forms that are possible here'],
    [{ id: '/a', fetch: [{}] }, '/fetch(0)/uri is missing'],
    [{ id: '/a', upgradeStrategy: { minimumHealthCapacity: 2, maximumOverCapacity: 0 } }, '/upgradeStrategy/minimumHealthCapacity must be at most 1'],
  ])('finds the fault of %j', (value, fault) => {
    expect(faults(value)).toContain(fault);
  });
  it('names what the schema does not know, also if every object has it', () => {
    expect(strangers({ id: '/a', cmnd: 'x', constructor: 1 }, app, schemas)).toEqual(['cmnd', 'constructor']);
  });
});

describe('explain', () => {
  it('puts short names into words, and leaves words alone', () => {
    expect(explain('/id', 'error.pattern')).toContain('/shop/cart');
    expect(explain('/cpus', 'error.min')).toBe('is too small');
    expect(explain('/x', 'must not be empty')).toBe('must not be empty');
  });
});
