// The parts without a page: addresses, differences, figures, events, definitions.
import { describe, expect, it } from 'vitest';
import { amounts, byState, MAX_SAMPLES, withSample, type Course } from '../src/cluster/figures';
import { agentUrl } from '../src/cluster/agent';
import { ApiError, appPath, refusal, root } from '../src/lib/api';
import { blank, member, pairs, sendable, unpaired, withMember } from '../src/lib/definition';
import { diff, sorted } from '../src/lib/diff';
import { action, ago, bytes, decimals, duration, mebibytes, plural, shortTask } from '../src/lib/format';
import { idOf, link, parse, router } from '../src/lib/router.svelte';
import { masterUrl, sandboxLink } from '../src/lib/sandbox';
import { touched } from '../src/lib/touched';
import type { Info } from '../src/lib/types';

describe('addresses', () => {
  it.each([
    ['http://m:8080/ui/', 'http://m:8080/'],
    ['http://m:8080/ui/index.html', 'http://m:8080/'],
    ['http://m:5050/', 'http://m:5050/'],
    ['https://p/service/marathon/ui/', 'https://p/service/marathon/'],
  ])('finds the root of %s', (page, expected) => {
    expect(root(new URL(page) as unknown as Location).href).toBe(expected);
  });
  it('reads places, also those of old links and of nonsense', () => {
    expect(parse('#/apps/%2Fshop%2Fcart').path).toEqual(['apps', 'shop', 'cart']);
    expect(parse('#/apps/shop/cart?tab=debug').query.get('tab')).toBe('debug');
    expect(parse('#/apps/%zz').path).toEqual(['apps', '%zz']);
    expect(parse('').path).toEqual([]);
    expect(idOf(['shop', 'cart'])).toBe('/shop/cart');
  });
  it('writes links that are read as the same place', () => {
    const to = link('apps', '/shop/a b', { tab: 'x=y', none: '' });
    expect(to).toBe('#/apps/shop/a%20b?tab=x%3Dy');
    expect(parse(to).path).toEqual(['apps', 'shop', 'a b']);
  });
  it('takes nobody away who has gone elsewhere, though the page is not told of it yet', () => {
    const here = parse('#/apps/shop/web?tab=debug');
    location.hash = '#/apps?q=web';
    router.goOn(here, '#/apps');
    expect(location.hash).toBe('#/apps?q=web');
    location.hash = '#/apps/shop/web';
    router.goOn(here, '#/apps');
    expect(location.hash).toBe('#/apps');
  });
  it('encodes ids segment by segment', () => {
    expect(appPath('/shop/a?b')).toBe('v2/apps/shop/a%3Fb');
  });
});

describe('refusals', () => {
  it('keep what the server says', () => {
    const found = refusal(422, '{"message":"Object is not valid","details":[{"path":"/id","errors":["is bad"]},7]}');
    expect([found.message, found.details]).toEqual(['Object is not valid', [{ path: '/id', errors: ['is bad'] }]]);
    expect(refusal(409, '{"message":"locked","deployments":[{"id":"d"}]}')).toMatchObject({ isLocked: true, deployments: ['d'] });
    expect(refusal(400, '{"message":"Invalid JSON","details":"at 1"}').message).toBe('Invalid JSON: at 1');
  });
  it.each([[502, 'Bad Gateway', 'Bad Gateway'], [500, '', 'the server answered 500'], [500, 'null', 'null'], [404, '{}', 'the server answered 404']])(
    'of %i with %j have words',
    (status, text, message) => {
      expect(refusal(status, text)).toBeInstanceOf(ApiError);
      expect(refusal(status, text).message).toBe(message);
    },
  );
});

describe('diff', () => {
  it('shows what came and went, and keeps the rest', () => {
    const lines = diff('a\nb\nc\nd', 'a\nx\nc\ne\nd').map(({ kind, text }) => kind[0] + text);
    expect(lines).toEqual(['sa', 'ob', 'nx', 'sc', 'ne', 'sd']);
  });
  it('gives both texts back', () => {
    const [before, after] = ['1\n2\n2\n3\n5', '2\n1\n2\n4\n5\n5'];
    const lines = diff(before, after);
    const text = (other: string) => lines.filter((line) => line.kind !== other).map((line) => line.text).join('\n');
    expect([text('new'), text('old')]).toEqual([before, after]);
  });
  it('does not mind the order of members', () => {
    expect(sorted({ b: 1, a: { d: [2, 1], c: 0 } })).toBe(sorted({ a: { c: 0, d: [2, 1] }, b: 1 }));
  });
});

describe('format', () => {
  it('is for people', () => {
    expect([bytes(1536), mebibytes(2048), decimals(0.1), decimals(12.34), decimals(1234.5)]).toEqual(['1.5 KiB', '2 GiB', '0.1', '12.3', '1,235']);
    expect([duration(0), duration(61), duration(3600), duration(90061)]).toEqual(['0 s', '1 min 1 s', '1 h', '1 d 1 h']);
    expect(ago('2026-01-01T00:00:00.000Z', Date.parse('2026-01-01T00:02:00.000Z'))).toBe('2 min ago');
    expect([ago(undefined, 0), ago('x', 0)]).toEqual(['–', 'x']);
    expect([plural(1, 'app'), plural(2000, 'app')]).toEqual(['1 app', '2,000 apps']);
    expect([action('RestartApplication'), action('ResolveArtifacts')]).toEqual(['Restart', 'Resolve Artifacts']);
    const uuid = '6f7bb2a0-d9f1-11eb-9c1c-0242ac110002';
    expect([shortTask(`a.instance-${uuid}._app.1`), shortTask(`a.instance-${uuid}._app.2`), shortTask('odd')]).toEqual([uuid, `${uuid}.2`, 'odd']);
  });
});

describe('touched', () => {
  const of = (event: Record<string, unknown>) => touched({ eventType: 'x', timestamp: '', ...event });
  it('finds the apps of all kinds of events', () => {
    expect(of({ runSpecId: '/a' }).apps).toEqual(['/a']);
    expect(of({ appId: '/a', runSpecId: '/a' }).apps).toEqual(['/a']);
    expect(of({ appDefinition: { id: '/b' } }).apps).toEqual(['/b']);
    const plan = { steps: [{ actions: [{ action: 'Start', app: '/a' }, { action: 'Start', pod: '/p' }] }, { actions: [{ action: 'Scale', app: '/a' }] }] };
    expect(of({ eventType: 'deployment_info', plan })).toMatchObject({ apps: ['/a'], deployments: true });
    expect(of({ eventType: 'group_change_success', groupId: '/' }).groups).toBe(true);
    expect(of({ appId: 7 }).apps).toEqual([]);
  });
});

describe('definitions', () => {
  it('are changed by path and stay as they were', () => {
    const old = { id: '/a', upgradeStrategy: { minimumHealthCapacity: 1 } };
    const changed = withMember(old, 'upgradeStrategy.maximumOverCapacity', 0);
    expect(changed.upgradeStrategy).toEqual({ minimumHealthCapacity: 1, maximumOverCapacity: 0 });
    expect(old.upgradeStrategy).toEqual({ minimumHealthCapacity: 1 });
    expect(withMember(changed, 'id', undefined)).not.toHaveProperty('id');
    expect(member(changed, 'upgradeStrategy.none.deeper')).toBeUndefined();
  });
  it('are sent without what would mean something else', () => {
    const sent = sendable({ ...blank('/shop'), version: 'v', versionInfo: {}, healthChecks: [] });
    expect(sent).toEqual({ id: '/shop/', cpus: 0.1, mem: 128, disk: 0, instances: 1 });
  });
  it('keep secrets while texts are edited', () => {
    const env = { A: 'a', S: { secret: 's' } };
    expect(pairs(env)).toEqual([['A', 'a']]);
    expect(unpaired([['B', 'b'], ['', 'x']], env)).toEqual({ S: { secret: 's' }, B: 'b' });
  });
});

describe('links to files', () => {
  const info = (config: Info['marathon_config']): Info => ({ version: '', elected: true, leader: null, frameworkId: 'F', marathon_config: config });
  it.each([
    [{ master: '10.0.0.1:5050' }, 'http://10.0.0.1:5050/'],
    [{ master: 'zk://a:1,b:2/mesos' }, undefined],
    [{ master: 'zk://a:1/mesos', mesos_leader_ui_url: 'https://m/x' }, 'https://m/x/'],
    [{ master: 'm:1', mesos_leader_ui_url: 'javascript:alert(1)' }, 'http://m:1/'],
  ])('of %j', (config, expected) => {
    expect(masterUrl(info(config))).toBe(expected);
  });
  it('lead to the page of the master', () => {
    expect(sandboxLink(info({ master: 'm:1' }), 'S0', 'a.b')).toBe('http://m:1/#/sandbox/S0/F/a.b');
    expect(sandboxLink(info({ master: 'm:1' }), undefined, 'a')).toBeUndefined();
    expect(agentUrl({ hostname: '', pid: 'slave(1)@10.0.0.1:5051' })).toBe('http://10.0.0.1:5051');
    expect(agentUrl({ hostname: '', pid: 'slave(1)@::1:5051' })).toBe('http://[::1]:5051');
    expect(agentUrl({ hostname: '', pid: '' })).toBeUndefined();
  });
});

describe('figures', () => {
  const metrics = { 'master/cpus_total': 8, 'master/cpus_used': 3, 'allocator/mesos/resources/cpus/offered_or_allocated': 5, 'master/tasks_running': 2 };
  it('tell what is used, offered and there', () => {
    expect(amounts(metrics, 'cpus')).toEqual({ total: 8, used: 3, offered: 2 });
    expect(amounts({}, 'mem')).toEqual({ total: 0, used: 0, offered: 0 });
    expect(byState(metrics, 'tasks', ['running', 'failed'])).toEqual([{ state: 'running', amount: 2 }, { state: 'failed', amount: 0 }]);
  });
  it('forget the oldest samples', () => {
    let course: Course = [[], [], [], []];
    for (let at = 0; at < MAX_SAMPLES + 5; at += 1) course = withSample(course, at, { total: 8, used: at, offered: 1 });
    expect(course.map((values) => values.length)).toEqual(Array(4).fill(MAX_SAMPLES));
    expect([course[0][0], course[2].at(-1)]).toEqual([5, MAX_SAMPLES + 5]);
  });
});
