// Lists of apps: groups, statuses, filters, and that thousands are no matter.
import { describe, expect, it } from 'vitest';
import { groupIds, healthOf, isBelow, parentOf, rowOf, rowsOf, shownStatus, statusOf, waitingOf, wayTo, type AppRow, type Filter } from '../src/lib/tree';
import type { ListedApp } from '../src/lib/types';

const listed = (id: string, more: Partial<ListedApp> = {}): ListedApp => ({
  id, instances: 2, cpus: 1, mem: 64, tasksStaged: 0, tasksRunning: 2, tasksHealthy: 0, tasksUnhealthy: 0, deployments: [], ...more,
});
const app = (id: string, more: Partial<ListedApp> = {}): AppRow => rowOf(listed(id, more));
const none: Filter = { text: '', statuses: [], healths: [], label: '' };
const nobody = new Map();
const ids = (rows: { id: string }[]) => rows.map((row) => row.id);

describe('statuses', () => {
  const waiting = waitingOf([
    { count: 1, since: '', delay: { timeLeftSeconds: 3, overdue: false }, app: { id: '/delayed' } },
    { count: 1, since: '', delay: { timeLeftSeconds: 0, overdue: true }, app: { id: '/waiting' } },
  ]);
  it.each([
    [app('/a'), 'Running'],
    [app('/a', { deployments: [{ id: 'd' }] }), 'Deploying'],
    [app('/delayed', { tasksRunning: 1, deployments: [{ id: 'd' }] }), 'Delayed'],
    [app('/waiting', { tasksRunning: 0 }), 'Waiting'],
    [app('/a', { instances: 0, tasksRunning: 0 }), 'Suspended'],
  ])('of %j', (row, status) => {
    expect(statusOf(row, waiting)).toBe(status);
  });
  it.each([
    [{ tasksUnhealthy: 1, healthChecks: [{}] }, 'Unhealthy'],
    [{ tasksHealthy: 2, healthChecks: [{}] }, 'Healthy'],
    [{ tasksHealthy: 1, healthChecks: [{}] }, 'Unchecked'],
    [{}, 'Unchecked'],
    [{ tasksRunning: 0 }, 'Idle'],
  ])('of health %j', (more, health) => {
    expect(healthOf(app('/a', more))).toBe(health);
  });
});

describe('the word that is shown', () => {
  it('is that an app is unhealthy, unless it is being changed', () => {
    expect(shownStatus(app('/a', { tasksUnhealthy: 1 }), nobody)).toBe('Unhealthy');
    expect(shownStatus(app('/a', { tasksUnhealthy: 1, deployments: [{ id: 'd' }] }), nobody)).toBe('Deploying');
    expect(shownStatus(app('/a'), nobody)).toBe('Running');
  });
});

describe('rows', () => {
  const apps = [app('/solo'), app('/shop/cart', { labels: { team: 'a', empty: '' } }), app('/shop/db/main', { tasksUnhealthy: 1 }), app('/shopping')];
  it('sum groups up and list what is directly there', () => {
    const rows = rowsOf(apps, ['/', '/bare', '/shop', '/shop/db'], '/', none, nobody);
    expect(ids(rows)).toEqual(['/bare', '/shop', '/solo', '/shopping']);
    const shop = rows[1]!;
    expect(shop.kind === 'group' && [shop.group.apps, shop.group.running, shop.group.unhealthy, shop.group.cpus]).toEqual([2, 4, 1, 4]);
  });
  it('of a group are below it, not beside it', () => {
    expect(ids(rowsOf(apps, [], '/shop', none, nobody))).toEqual(['/shop/db', '/shop/cart']);
    expect([isBelow('/shopping', '/shop'), isBelow('/shop/a', '/shop'), parentOf('/a'), parentOf('/a/b')]).toEqual([false, true, '/', '/a']);
  });
  it.each([
    [{ text: 'SHOP cart' }, ['/shop/cart']],
    [{ label: 'team' }, ['/shop/cart']],
    [{ label: 'team=b' }, []],
    [{ label: 'empty=' }, ['/shop/cart']],
    [{ healths: ['Unhealthy'] }, ['/shop/db/main']],
    [{ statuses: ['Suspended'] }, []],
    [{ statuses: ['Running', 'Deploying'], text: 'o' }, ['/solo', '/shop/cart', '/shop/db/main', '/shopping']],
  ])('are filtered by %j', (filter, expected) => {
    expect(ids(rowsOf(apps, [], '/', { ...none, ...filter }, nobody))).toEqual(expected);
  });
  it('of 20,000 apps are there within a frame or few', () => {
    const many = Array.from({ length: 20_000 }, (_, place) => app(`/group-${place % 100}/app-${place}`));
    const began = performance.now();
    expect(rowsOf(many, [], '/', none, nobody)).toHaveLength(100);
    expect(rowsOf(many, [], '/', { ...none, text: 'app-1999' }, nobody)).toHaveLength(11);
    expect(performance.now() - began).toBeLessThan(500);
  });
  it('know the way', () => {
    expect(wayTo('/a/b')).toEqual([{ id: '/a', name: 'a' }, { id: '/a/b', name: 'b' }]);
    expect(groupIds({ id: '/', groups: [{ id: '/a', groups: [{ id: '/a/b' }] }] })).toEqual(['/', '/a', '/a/b']);
  });
});
